"""The settings of the App Store: off, the sandbox's, or Apple's, and each fault by its variable."""

import ssl
from collections.abc import Mapping
from pathlib import Path

import pytest

from boxoffice_server.settings import (
    AppStoreApp,
    AppStoreSettings,
    Settings,
    SettingsError,
    read_settings,
)
from tests.vendors.app_store.fake_apple import PEM
from tests.vendors.app_store.signing import the_apple

STRIPE = {
    "BOXOFFICE_STRIPE_API_KEY": "sk_test_secretkey",
    "BOXOFFICE_STRIPE_WEBHOOK_SECRETS": "whsec_one",
}
PREFIX = "BOXOFFICE_APP_STORE_"


@pytest.fixture
def good(tmp_path: Path) -> dict[str, str]:
    """All that Apple's App Store needs, in both environments."""
    root, key = tmp_path / "root.cer", tmp_path / "key.p8"
    root.write_bytes(the_apple().root.der)
    key.write_bytes(PEM)
    return {
        "APPS": "com.example.app:1234567890",
        "ENVIRONMENT": "Production,Sandbox",
        "ROOT_CERTIFICATES": str(root),
        "ISSUER_ID": "57246542-96fe-1a63-e053-0824d011072a",
        "KEY_ID": "KEY1234567",
        "PRIVATE_KEY_FILE": str(key),
    }


def read(variables: Mapping[str, str], *, sandbox: bool = False) -> Settings:
    """Read settings with these of the App Store."""
    named = {f"{PREFIX}{name}": value for name, value in variables.items()}
    return read_settings(({} if sandbox else STRIPE) | named, sandbox=sandbox)


def app_store(variables: Mapping[str, str], *, sandbox: bool = False) -> AppStoreSettings:
    """Read the settings of an App Store that there is."""
    told = read(variables, sandbox=sandbox).app_store
    assert told is not None
    return told


def fault(variables: Mapping[str, str]) -> str:
    """Read settings that are refused, and answer how."""
    with pytest.raises(SettingsError) as caught:
        read(variables)
    return str(caught.value)


def test_without_a_word_of_it_there_is_no_app_store() -> None:
    """A service may have to do with Stripe alone."""
    assert read({}).app_store is None
    assert read({"APPS": "", "KEY_ID": ""}).app_store is None


def test_apples_app_store_is_read(good: dict[str, str]) -> None:
    """Online checks are on in Production, and the addresses are Apple's."""
    told = app_store(good)
    assert told.apps == (AppStoreApp(bundle_id="com.example.app", app_apple_id=1234567890),)
    assert told.environments == ("Production", "Sandbox")
    assert told.read_root_certificates() == [the_apple().root.der]
    assert told.online_checks == {"Production"}
    assert told.key is not None
    assert told.key.read().reveal() == PEM.decode()
    assert told.api_base == ""


def test_the_sandboxs_app_store_needs_nothing(tmp_path: Path) -> None:
    """Its files lie beside the database, and are not there before it runs."""
    told = read_settings(
        {"BOXOFFICE_DATABASE_URL": f"sqlite:///{tmp_path}/b.db"}, sandbox=True
    ).app_store
    assert told is not None
    assert told.apps == (AppStoreApp(bundle_id="com.example.boxoffice", app_apple_id=None),)
    assert (told.environments, told.online_checks) == (("Sandbox",), frozenset())
    assert told.root_certificates == (tmp_path / "boxoffice-sandbox-app-store-root.cer",)
    assert told.key is not None
    assert told.key.private_key_file == tmp_path / "boxoffice-sandbox-app-store-key.p8"
    assert told.api_base == "http://127.0.0.1:12111/app-store"
    with pytest.raises(SettingsError, match="ROOT_CERTIFICATES"):
        told.read_root_certificates()
    with pytest.raises(SettingsError, match="PRIVATE_KEY_FILE"):
        told.key.read()


def test_beside_the_sandbox_each_variable_may_be_set_by_itself() -> None:
    """The others stay the sandbox's."""
    told = app_store({"APPS": "com.example.other", "ONLINE_CHECKS": "on"}, sandbox=True)
    assert told.apps == (AppStoreApp(bundle_id="com.example.other", app_apple_id=None),)
    assert told.online_checks == {"Sandbox"}
    assert told.key is not None


@pytest.mark.parametrize(
    ("text", "environments"),
    [("", {"Production"}), ("on", {"Production", "Sandbox"}), ("off", set())],
)
def test_online_checks_are_on_where_they_are_asked_for(
    good: dict[str, str], text: str, environments: set[str]
) -> None:
    """Each environment listens or not."""
    assert app_store(good | {"ONLINE_CHECKS": text}).online_checks == environments


def test_several_apps_and_certificates(good: dict[str, str], tmp_path: Path) -> None:
    """PEM is as good as DER."""
    pem = tmp_path / "root.pem"
    pem.write_text(ssl.DER_cert_to_PEM_cert(the_apple().root.der))
    roots = f" {good['ROOT_CERTIFICATES']} , {pem},"
    told = app_store(good | {"APPS": " a.b:1 , c.d:2,", "ROOT_CERTIFICATES": roots})
    assert [app.bundle_id for app in told.apps] == ["a.b", "c.d"]
    assert told.read_root_certificates() == [the_apple().root.der] * 2


def test_without_a_key_notifications_are_taken_all_the_same(good: dict[str, str]) -> None:
    """Only nothing can be asked."""
    told = app_store(good | {"ISSUER_ID": "", "KEY_ID": "", "PRIVATE_KEY_FILE": ""})
    assert told.key is None


@pytest.mark.parametrize(
    ("changes", "variable", "words"),
    [
        ({"APPS": ""}, "APPS", "must be one or more"),
        ({"APPS": "com.example.app:zero"}, "APPS", "must be one or more"),
        ({"APPS": "a.b:1,b c"}, "APPS", "must be one or more"),
        ({"APPS": "a.b:1,a.b:2"}, "APPS", "twice"),
        ({"APPS": "com.example.app"}, "APPS", "number in the App Store"),
        ({"ENVIRONMENT": ""}, "ENVIRONMENT", "must be Production, Sandbox"),
        ({"ENVIRONMENT": "Xcode"}, "ENVIRONMENT", "must be Production, Sandbox"),
        ({"ENVIRONMENT": "Sandbox,LocalTesting"}, "ENVIRONMENT", "must be Production, Sandbox"),
        ({"ROOT_CERTIFICATES": ""}, "ROOT_CERTIFICATES", "must name Apple's"),
        ({"ROOT_CERTIFICATES": "/no/where"}, "ROOT_CERTIFICATES", "can't be read"),
        ({"ROOT_CERTIFICATES": "/no\0where"}, "ROOT_CERTIFICATES", "can't be read"),
        ({"ONLINE_CHECKS": "yes"}, "ONLINE_CHECKS", "on or off"),
        ({"ISSUER_ID": ""}, "ISSUER_ID", "must be set as well"),
        ({"KEY_ID": ""}, "KEY_ID", "must be set as well"),
        ({"PRIVATE_KEY_FILE": ""}, "PRIVATE_KEY_FILE", "must be set as well"),
        ({"PRIVATE_KEY_FILE": "/no/where"}, "PRIVATE_KEY_FILE", "can't be read"),
        ({"API_BASE": "api.apple.com"}, "API_BASE", "http or https"),
        ({"API_BASE": "http://api.example.com"}, "API_BASE", "https address"),
    ],
)
def test_a_fault_is_told_by_its_variable(
    good: dict[str, str], changes: dict[str, str], variable: str, words: str
) -> None:
    """At the start, and in words that say what to do."""
    told = fault(good | changes)
    assert f"{PREFIX}{variable}" in told
    assert words in told


@pytest.mark.parametrize(
    "content",
    [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA", b"\xff\xfe", b"\x30\x82\x01"],
)
def test_a_file_that_is_no_certificate_is_told(
    good: dict[str, str], tmp_path: Path, content: bytes
) -> None:
    """By the file's name."""
    file = tmp_path / "bad.cer"
    file.write_bytes(content)
    told = fault(good | {"ROOT_CERTIFICATES": str(file)})
    assert "BOXOFFICE_APP_STORE_ROOT_CERTIFICATES" in told
    assert str(file) in told


def test_the_private_key_is_not_shown(good: dict[str, str], tmp_path: Path) -> None:
    """Neither where it is good nor where it is not."""
    key = app_store(good).key
    assert key is not None
    assert "PRIVATE KEY" not in repr(key.read())
    bad = tmp_path / "bad.p8"
    bad.write_bytes(b"-----BEGIN RSA PRIVATE KEY-----\nsecret")
    assert "secret" not in fault(good | {"PRIVATE_KEY_FILE": str(bad)})


def test_the_server_api_may_be_elsewhere_on_this_machine(good: dict[str, str]) -> None:
    """As the sandbox is; elsewhere its tokens go over TLS only."""
    for base in ("http://127.0.0.1:7/app-store/", "https://stand-in.example.com/app-store"):
        assert app_store(good | {"API_BASE": base}).api_base == base.rstrip("/")

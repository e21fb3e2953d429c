"""Settings: every variable, its default, and what it must be."""

import re
from datetime import timedelta

import pytest

from boxoffice_server.__main__ import main
from boxoffice_server.settings import (
    DEFAULT_SANDBOX_KEY,
    STRIPE_API_BASE,
    Address,
    Secret,
    Settings,
    SettingsError,
    read_settings,
)

TEST_KEY, LIVE_KEY = "sk_test_secretkey", "sk_live_secretkey"
SECRETS = "whsec_secretone,whsec_secrettwo"
STRIPE = {
    "BOXOFFICE_STRIPE_API_KEY": TEST_KEY,
    "BOXOFFICE_STRIPE_WEBHOOK_SECRETS": SECRETS,
}
VARIABLES = (
    "BOXOFFICE_GRPC_ADDRESS",
    "BOXOFFICE_HTTP_ADDRESS",
    "BOXOFFICE_DATABASE_URL",
    "BOXOFFICE_STRIPE_API_KEY",
    "BOXOFFICE_STRIPE_API_BASE",
    "BOXOFFICE_STRIPE_WEBHOOK_SECRETS",
    "BOXOFFICE_SANDBOX_ADDRESS",
    "BOXOFFICE_DRAIN_SECONDS",
)


def read(**variables: str) -> Settings:
    """Read settings that are good but for these variables."""
    return read_settings(STRIPE | variables, sandbox=False)


def test_defaults_with_a_sandbox_need_nothing() -> None:
    """An empty environment serves on loopback, on a file, beside the sandbox."""
    settings = read_settings({}, sandbox=True)
    assert str(settings.grpc_address) == "127.0.0.1:50051"
    assert str(settings.http_address) == "127.0.0.1:8080"
    assert str(settings.sandbox_address) == "127.0.0.1:12111"
    assert settings.database_url == "sqlite:///boxoffice.db"
    assert settings.stripe_api_base == "http://127.0.0.1:12111/stripe"
    assert settings.stripe_api_key.reveal() == DEFAULT_SANDBOX_KEY
    secrets = [each.reveal() for each in settings.stripe_webhook_secrets]
    assert secrets == ["whsec_boxoffice_sandbox"]
    assert settings.drain_grace == timedelta(seconds=8)
    assert settings.uses_sandbox_key
    assert settings.is_embedded
    assert not settings.livemode


def test_empty_variable_means_its_default() -> None:
    """As a line in an environment file without a value does."""
    empty = dict.fromkeys(VARIABLES, "")
    assert repr(read_settings(empty, sandbox=True)) == repr(read_settings({}, sandbox=True))


def test_each_variable_is_read() -> None:
    """What is set is what holds."""
    settings = read(
        BOXOFFICE_GRPC_ADDRESS="0.0.0.0:1",
        BOXOFFICE_HTTP_ADDRESS="[::1]:0",
        BOXOFFICE_DATABASE_URL="postgresql://user@host/database",
        BOXOFFICE_STRIPE_API_BASE="http://stand-in:7/stripe/",
        BOXOFFICE_STRIPE_WEBHOOK_SECRETS=" whsec_1 , whsec_2 ,",
        BOXOFFICE_SANDBOX_ADDRESS="localhost:65535",
        BOXOFFICE_DRAIN_SECONDS="0.5",
    )
    assert settings.grpc_address == Address(host="0.0.0.0", port=1)  # noqa: S104 -- not bound
    assert settings.http_address == Address(host="[::1]", port=0)
    assert settings.sandbox_address == Address(host="localhost", port=65535)
    assert settings.database_url == "postgresql://user@host/database"
    assert settings.stripe_api_key.reveal() == TEST_KEY
    assert settings.stripe_api_base == "http://stand-in:7/stripe"
    secrets = [each.reveal() for each in settings.stripe_webhook_secrets]
    assert secrets == ["whsec_1", "whsec_2"]
    assert settings.drain_grace == timedelta(seconds=0.5)
    assert not settings.uses_sandbox_key
    assert not settings.is_embedded


@pytest.mark.parametrize(
    ("key", "livemode"),
    [(TEST_KEY, False), (LIVE_KEY, True), ("rk_test_1", False), ("rk_live_1", True)],
)
def test_key_says_whether_money_is_real(key: str, livemode: bool) -> None:  # noqa: FBT001
    """Secret and restricted keys, of either mode, go to Stripe by default."""
    settings = read(BOXOFFICE_STRIPE_API_KEY=key)
    assert settings.livemode is livemode
    assert settings.stripe_api_base == STRIPE_API_BASE


BAD = {
    "BOXOFFICE_GRPC_ADDRESS": [
        "50051",
        ":50051",
        "localhost",
        "localhost:",
        "a b:1",
        "::1:5",
        "h:1x",
    ],
    "BOXOFFICE_HTTP_ADDRESS": ["127.0.0.1:65536", "127.0.0.1:-1", "http://127.0.0.1:80"],
    "BOXOFFICE_SANDBOX_ADDRESS": ["127.0.0.1", "127.0.0.1:123456"],
    "BOXOFFICE_DATABASE_URL": [
        "boxoffice.db",
        "sqlite://",
        "sqlite:///",
        "sqlite://boxoffice.db",
        "sqlite:///:memory:",
        "mysql://user@host/database",
        "postgresql:",
        "postgresql://",
        "postgresql+asyncpg://user@host/database",
    ],
    "BOXOFFICE_STRIPE_API_KEY": ["key", "pk_test_1", "whsec_1", "sk_test_\N{PARTY POPPER}"],
    "BOXOFFICE_STRIPE_API_BASE": [
        "stripe",
        "ftp://stripe",
        "http://",
        "//stripe",
        "http://[::1",
        "http://stripe:port",
    ],
    "BOXOFFICE_STRIPE_WEBHOOK_SECRETS": [
        "",
        ",",
        "secret",
        "whsec_1,secret",
        "whsec_\N{PARTY POPPER}",
    ],
    "BOXOFFICE_DRAIN_SECONDS": ["soon", "-1", "3601", "nan", "inf", "8s"],
}


@pytest.mark.parametrize(
    ("variable", "value"), [(name, value) for name, values in BAD.items() for value in values]
)
def test_bad_value_is_refused_by_the_name_of_its_variable(variable: str, value: str) -> None:
    """Whoever reads the message knows what to change."""
    with pytest.raises(SettingsError, match=variable):
        read(**{variable: value})


def test_all_variables_have_a_test_of_bad_values() -> None:
    """No variable is taken as it comes."""
    assert set(BAD) == set(VARIABLES)


@pytest.mark.parametrize(
    "base", ["http://127.0.0.1:12111/stripe", "http://api.stripe.com", "https://api.stripe.com.me"]
)
def test_live_key_goes_to_stripe_only(base: str) -> None:
    """Never to a sandbox, never in the clear, never to a name that looks like Stripe's."""
    with pytest.raises(SettingsError, match="BOXOFFICE_STRIPE_API_KEY is a live key") as error:
        read(BOXOFFICE_STRIPE_API_KEY=LIVE_KEY, BOXOFFICE_STRIPE_API_BASE=base)
    assert "secretkey" not in str(error.value)
    settings = read(BOXOFFICE_STRIPE_API_KEY=LIVE_KEY, BOXOFFICE_STRIPE_API_BASE=STRIPE_API_BASE)
    assert settings.livemode


def test_live_key_beside_a_sandbox_still_goes_to_stripe() -> None:
    """The sandbox is for its own keys; others keep Stripe as their base."""
    for key in (LIVE_KEY, TEST_KEY):
        settings = read_settings(STRIPE | {"BOXOFFICE_STRIPE_API_KEY": key}, sandbox=True)
        assert settings.stripe_api_base == STRIPE_API_BASE


def test_sandbox_key_never_goes_to_stripe() -> None:
    """Stripe doesn't know it: by default without a sandbox, or because the base says so."""
    for environment, sandbox in (
        ({}, False),
        ({"BOXOFFICE_STRIPE_API_BASE": STRIPE_API_BASE}, True),
    ):
        with pytest.raises(SettingsError, match="BOXOFFICE_STRIPE_API_KEY is the sandbox's"):
            read_settings(environment, sandbox=sandbox)


def test_webhook_secrets_are_needed_with_a_key_of_ones_own() -> None:
    """The sandbox's secret is known to all, so it is no default for a real account."""
    with pytest.raises(SettingsError, match="BOXOFFICE_STRIPE_WEBHOOK_SECRETS"):
        read_settings({"BOXOFFICE_STRIPE_API_KEY": TEST_KEY}, sandbox=False)


def test_secrets_are_not_seen_by_accident() -> None:
    """Neither keys nor webhook secrets nor the database's password are in any repr."""
    settings = read(
        BOXOFFICE_STRIPE_API_KEY=LIVE_KEY,
        BOXOFFICE_DATABASE_URL="postgresql://user:secretpassword@host/database",
    )
    assert "secret" not in re.sub(r"Secret\(…\)|stripe_webhook_secrets", "", repr(settings))
    assert "secret" not in f"{Secret('secretkey')!s} {Secret('secretkey')!r}".replace("Secret", "")
    assert settings.stripe_api_key.reveal() == LIVE_KEY


@pytest.mark.parametrize(
    "variables",
    [
        {"BOXOFFICE_STRIPE_API_KEY": "secretkey"},
        {"BOXOFFICE_STRIPE_WEBHOOK_SECRETS": "secretone"},
        {"BOXOFFICE_DATABASE_URL": "mysql://user:secretpassword@host/database"},
        {"BOXOFFICE_DATABASE_URL": "secretpassword"},
        {"BOXOFFICE_STRIPE_API_BASE": "ftp://user:secretpassword@host"},
    ],
)
def test_no_message_shows_a_secret(variables: dict[str, str]) -> None:
    """A message names the variable and not what was in it."""
    with pytest.raises(SettingsError) as error:
        read(**variables)
    assert "secret" not in str(error.value).replace("a secret or", "").replace("secrets that", "")


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104 -- not bound
        ("[::]", False),
        ("10.0.0.1", False),
        ("example.com", False),
        ("localhost.example.com", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(host: str, is_loopback: bool) -> None:  # noqa: FBT001
    """By address or by the one name that always means it."""
    assert Address(host=host, port=1).is_loopback is is_loopback


@pytest.mark.parametrize(
    ("host", "called"),
    [
        ("0.0.0.0", "127.0.0.1"),  # noqa: S104 -- nothing listens
        ("[::]", "[::1]"),
        ("boxoffice.internal", "boxoffice.internal"),
    ],
)
def test_service_that_listens_everywhere_is_called_on_loopback(host: str, called: str) -> None:
    """By the commands that speak to the service of their own machine."""
    assert Address(host=host, port=7).to_call == Address(host=called, port=7)


@pytest.mark.parametrize("variable", ["BOXOFFICE_GRPC_ADDRESS", "BOXOFFICE_HTTP_ADDRESS"])
def test_nothing_listens_beyond_loopback_in_the_clear(
    variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command refuses before it has opened anything, and says which word allows it."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "0.0.0.0:0")
    assert main(["serve", "--sandbox"]) == 2
    told = capsys.readouterr()
    assert variable in told.err
    assert "--plaintext" in told.err
    assert told.out == ""


@pytest.mark.parametrize("command", [["serve"], ["migrate"], ["health"]])
def test_bad_setting_ends_every_command(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and one line that names the variable."""
    monkeypatch.setenv("BOXOFFICE_GRPC_ADDRESS", "nowhere")
    for name, value in STRIPE.items():
        monkeypatch.setenv(name, value)
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("boxoffice: BOXOFFICE_GRPC_ADDRESS must be host:port")

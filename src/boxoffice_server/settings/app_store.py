"""The settings of the App Store: our apps, Apple's certificates, and the key to its Server API."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from boxoffice_server.settings.values import Address, Secret, SettingsError, scheme_and_host

SANDBOX_FILES = {
    "ROOT_CERTIFICATES": "boxoffice-sandbox-app-store-root.cer",
    "PRIVATE_KEY_FILE": "boxoffice-sandbox-app-store-key.p8",
}
"""Where the sandbox writes what stands in for Apple's files, beside its database."""

_APP_STORE = (
    "APPS",
    "ENVIRONMENT",
    "ROOT_CERTIFICATES",
    "ONLINE_CHECKS",
    "ISSUER_ID",
    "KEY_ID",
    "PRIVATE_KEY_FILE",
    "API_BASE",
)
# The sandbox knows its one key by these.
_SANDBOX = dict.fromkeys(_APP_STORE, "") | {
    "APPS": "com.example.boxoffice",
    "ENVIRONMENT": "Sandbox",
    "ISSUER_ID": "b0c0ff1c-e5a4-4d0b-8000-5a4db0c0ff1c",
    "KEY_ID": "BOXOFFICE1",
}
_ENVIRONMENTS = {"Production", "Sandbox"}
_APP = re.compile(r"(?P<id>[A-Za-z0-9.-]{1,155})(:(?P<number>[1-9][0-9]{0,17}))?")
# A sequence whose length is in two bytes (X.690), as that of every certificate is.
_DER_SEQUENCE = b"\x30\x82"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppStoreApp:
    """An app of ours; its number in the App Store is needed in Production."""

    bundle_id: str
    app_apple_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppStoreKey:
    """The key of the App Store Server API. The file holds the secret."""

    issuer_id: str
    key_id: str
    private_key_file: Path

    def read(self) -> Secret:
        """Read the private key, or raise SettingsError."""
        name = "BOXOFFICE_APP_STORE_PRIVATE_KEY_FILE"
        text = _file(name, self.private_key_file)
        if b"-----BEGIN PRIVATE KEY-----" not in text or not text.isascii():
            raise SettingsError(f"{name} must name the .p8 file of a key of App Store Connect")
        return Secret(text.decode())


@dataclass(frozen=True, slots=True, kw_only=True)
class AppStoreSettings:
    """What the service is told about the App Store.

    `environments` are Apple's names, the first one being ours. In those of `online_checks` Apple is
    asked whether certificates were revoked. `key` is None where the Server API is not to be asked,
    and `api_base` empty where it is Apple's own. The sandbox writes its files while the service
    starts, so files are read when they are needed.
    """

    apps: tuple[AppStoreApp, ...]
    environments: tuple[str, ...]
    root_certificates: tuple[Path, ...]
    online_checks: frozenset[str]
    key: AppStoreKey | None
    api_base: str

    def read_root_certificates(self) -> list[bytes]:
        """Read the root certificates in DER, or raise SettingsError."""
        return [_certificate(path) for path in self.root_certificates]


def read_app_store(
    environment: Mapping[str, str], *, sandbox_address: Address | None, sandbox_folder: Path
) -> AppStoreSettings | None:
    """Read what is said of the App Store; with the sandbox, what is not said is the sandbox's."""
    told = {name: environment.get(f"BOXOFFICE_APP_STORE_{name}", "") for name in _APP_STORE}
    if sandbox_address is not None:
        files = {name: str(sandbox_folder / file) for name, file in SANDBOX_FILES.items()}
        base = {"API_BASE": f"http://{sandbox_address}/app-store"}
        told = _SANDBOX | files | base | {name: text for name, text in told.items() if text}
    elif not any(told.values()):
        return None
    environments = _environments(told["ENVIRONMENT"])
    read = AppStoreSettings(
        apps=_apps(told["APPS"], numbered="Production" in environments),
        environments=environments,
        root_certificates=tuple(Path(path) for path in _several(told["ROOT_CERTIFICATES"])),
        online_checks=_online_checks(told["ONLINE_CHECKS"], environments),
        key=_app_store_key(told),
        api_base=_api_base(told["API_BASE"]),
    )
    if not read.root_certificates:
        raise SettingsError(
            "BOXOFFICE_APP_STORE_ROOT_CERTIFICATES must name Apple's root certificates, DER or PEM "
            "files, separated by commas: https://www.apple.com/certificateauthority/"
        )
    if sandbox_address is None:
        read.read_root_certificates()
        if read.key is not None:
            read.key.read()
    return read


def _apps(text: str, *, numbered: bool) -> tuple[AppStoreApp, ...]:
    matches = [_APP.fullmatch(each) for each in _several(text)]
    apps = tuple(
        AppStoreApp(bundle_id=found["id"], app_apple_id=int(found["number"] or 0) or None)
        for found in matches
        if found is not None
    )
    if not apps or len(apps) != len(matches):
        raise SettingsError(
            "BOXOFFICE_APP_STORE_APPS must be one or more bundle_id or bundle_id:app_apple_id, "
            f"separated by commas; it is {text!r}"
        )
    if len({app.bundle_id for app in apps}) != len(apps):
        raise SettingsError("BOXOFFICE_APP_STORE_APPS names an app twice")
    if numbered and not all(app.app_apple_id for app in apps):
        raise SettingsError(
            "BOXOFFICE_APP_STORE_APPS must name every app with its number in the App Store, as "
            "bundle_id:app_apple_id, since BOXOFFICE_APP_STORE_ENVIRONMENT has Production"
        )
    return apps


def _environments(text: str) -> tuple[str, ...]:
    environments = tuple(dict.fromkeys(_several(text)))
    if not environments or not set(environments) <= _ENVIRONMENTS:
        raise SettingsError(
            "BOXOFFICE_APP_STORE_ENVIRONMENT must be Production, Sandbox or both, separated by a "
            f"comma, ours first; it is {text!r}"
        )
    return environments


def _online_checks(text: str, environments: tuple[str, ...]) -> frozenset[str]:
    match text:
        case "":
            return frozenset(environments) & {"Production"}
        case "on":
            return frozenset(environments)
        case "off":
            return frozenset()
        case _:
            raise SettingsError(
                f"BOXOFFICE_APP_STORE_ONLINE_CHECKS must be on or off; it is {text!r}"
            )


def _app_store_key(told: Mapping[str, str]) -> AppStoreKey | None:
    names = ("ISSUER_ID", "KEY_ID", "PRIVATE_KEY_FILE")
    missing = [f"BOXOFFICE_APP_STORE_{name}" for name in names if not told[name]]
    if len(missing) == len(names):
        return None
    if missing:
        raise SettingsError(
            f"{' and '.join(missing)} must be set as well: the key of the App Store Server API is "
            "an issuer id, a key id and a file"
        )
    return AppStoreKey(
        issuer_id=told["ISSUER_ID"],
        key_id=told["KEY_ID"],
        private_key_file=Path(told["PRIVATE_KEY_FILE"]),
    )


def _api_base(text: str) -> str:
    if not text:
        return ""
    scheme, host = scheme_and_host("BOXOFFICE_APP_STORE_API_BASE", text)
    if scheme == "http" and not Address(host=host, port=0).is_loopback:
        raise SettingsError(
            "BOXOFFICE_APP_STORE_API_BASE must be an https address unless it is on this machine"
        )
    return text.rstrip("/")


def _several(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _certificate(path: Path) -> bytes:
    """Read a certificate in DER. Whether it is one that signs is for Apple's library to say."""
    name = "BOXOFFICE_APP_STORE_ROOT_CERTIFICATES"
    told = _file(name, path)
    if b"-----BEGIN CERTIFICATE-----" in told:
        try:
            told = ssl.PEM_cert_to_DER_cert(told.decode("ascii").strip())
        except ValueError as error:
            raise SettingsError(f"{name}: {path} is no certificate") from error
    if not told.startswith(_DER_SEQUENCE) or int.from_bytes(told[2:4], "big") != len(told) - 4:
        raise SettingsError(f"{name}: {path} is no certificate in DER or PEM")
    return told


def _file(name: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no such path"
        raise SettingsError(f"{name}: {path} can't be read: {reason}") from error

"""The only reader of the environment: every variable, its default, and what it must be."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from urllib.parse import urlsplit

SANDBOX_KEY_PREFIX = "sk_test_boxoffice_"
DEFAULT_SANDBOX_KEY = "sk_test_boxoffice_default"
DEFAULT_SANDBOX_SECRET = "whsec_boxoffice_sandbox"  # noqa: S105 -- the sandbox's, known to all
STRIPE_API_BASE = "https://api.stripe.com"

_ADDRESS = re.compile(r"(?P<host>\[[0-9a-fA-F:]+\]|[^:\s]+):(?P<port>\d{1,5})")
_MOST_PORT = 65535


class SettingsError(Exception):
    """A variable that is not what it must be. The message names it and never shows a secret."""


class Secret:
    """A text that must not be seen by accident: only `reveal` shows it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Answer the text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A host and port to listen on. Port 0 asks for a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Tell whether only this machine can reach it."""
        host = self.host.strip("[]")
        if host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    @property
    def to_call(self) -> "Address":
        """Tell where this machine calls who listens here: on loopback who listens everywhere."""
        local = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 -- recognised, not bound
        return replace(self, host=local.get(self.host, self.host))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the service is told from outside."""

    grpc_address: Address
    http_address: Address
    # May hold a password.
    database_url: str = field(repr=False)
    stripe_api_key: Secret
    stripe_webhook_secrets: tuple[Secret, ...]
    stripe_api_base: str
    sandbox_address: Address
    drain_grace: timedelta
    authentication_limit: timedelta

    @property
    def uses_sandbox_key(self) -> bool:
        """Tell whether the Stripe key is one that only the sandbox knows."""
        return self.stripe_api_key.reveal().startswith(SANDBOX_KEY_PREFIX)

    @property
    def is_embedded(self) -> bool:
        """Tell whether the store is a file that only one process works on."""
        return self.database_url.startswith("sqlite:")

    @property
    def livemode(self) -> bool:
        """Tell whether the Stripe key moves real money (https://docs.stripe.com/keys)."""
        return self.stripe_api_key.reveal().startswith(("sk_live_", "rk_live_"))


def read_settings(environment: Mapping[str, str], *, sandbox: bool) -> Settings:
    """Read the settings, or raise SettingsError naming the first variable that is wrong.

    With `sandbox`, Stripe is the sandbox unless the environment says otherwise.
    """
    sandbox_address = _address(environment, "BOXOFFICE_SANDBOX_ADDRESS", "127.0.0.1:12111")
    key = environment.get("BOXOFFICE_STRIPE_API_KEY") or DEFAULT_SANDBOX_KEY
    on_sandbox = sandbox and key.startswith(SANDBOX_KEY_PREFIX)
    default_base = f"http://{sandbox_address}/stripe" if on_sandbox else STRIPE_API_BASE
    base = environment.get("BOXOFFICE_STRIPE_API_BASE") or default_base
    _check_key(key, base)
    return Settings(
        grpc_address=_address(environment, "BOXOFFICE_GRPC_ADDRESS", "127.0.0.1:50051"),
        http_address=_address(environment, "BOXOFFICE_HTTP_ADDRESS", "127.0.0.1:8080"),
        database_url=_database_url(environment),
        stripe_api_key=Secret(key),
        stripe_webhook_secrets=_webhook_secrets(environment, key),
        stripe_api_base=base.rstrip("/"),
        sandbox_address=sandbox_address,
        drain_grace=timedelta(
            seconds=_number(environment, "BOXOFFICE_DRAIN_SECONDS", "8", "seconds", most=3600)
        ),
        authentication_limit=timedelta(
            hours=_number(environment, "BOXOFFICE_AUTHENTICATION_HOURS", "23", "hours", most=720)
        ),
    )


def _address(environment: Mapping[str, str], name: str, default: str) -> Address:
    text = environment.get(name) or default
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > _MOST_PORT:
        raise SettingsError(f"{name} must be host:port, such as {default}; it is {text!r}")
    return Address(host=match["host"], port=int(match["port"]))


def _database_url(environment: Mapping[str, str]) -> str:
    url = environment.get("BOXOFFICE_DATABASE_URL") or "sqlite:///boxoffice.db"
    scheme, _, rest = url.partition("://")
    match scheme:
        case "sqlite":
            is_good = rest.startswith("/") and rest.strip("/") not in {"", ":memory:"}
        case "postgresql":
            is_good = bool(rest.strip("/"))
        case _:
            is_good = False
    if not is_good:
        # It may hold a password, so it is not shown.
        raise SettingsError(
            "BOXOFFICE_DATABASE_URL must be sqlite:///path or postgresql://user@host/database"
        )
    return url


def _webhook_secrets(environment: Mapping[str, str], key: str) -> tuple[Secret, ...]:
    text = environment.get("BOXOFFICE_STRIPE_WEBHOOK_SECRETS", "")
    if not text and key.startswith(SANDBOX_KEY_PREFIX):
        text = DEFAULT_SANDBOX_SECRET
    secrets = [each.strip() for each in text.split(",") if each.strip()]
    if not secrets or not all(each.startswith("whsec_") and each.isascii() for each in secrets):
        raise SettingsError(
            "BOXOFFICE_STRIPE_WEBHOOK_SECRETS must be one or more secrets that begin with whsec_, "
            "separated by commas"
        )
    return tuple(Secret(each) for each in secrets)


def _check_key(key: str, base: str) -> None:
    if not key.startswith(("sk_test_", "rk_test_", "sk_live_", "rk_live_")) or not key.isascii():
        raise SettingsError(
            "BOXOFFICE_STRIPE_API_KEY must be a secret or restricted key: it begins with "
            "sk_test_, rk_test_, sk_live_ or rk_live_"
        )
    scheme, host = _scheme_and_host(base)
    is_stripe = host == "api.stripe.com"
    if key.startswith(("sk_live_", "rk_live_")) and not (is_stripe and scheme == "https"):
        raise SettingsError(
            "BOXOFFICE_STRIPE_API_KEY is a live key, which is sent to Stripe only; "
            f"BOXOFFICE_STRIPE_API_BASE is at {scheme}://{host}"
        )
    if key.startswith(SANDBOX_KEY_PREFIX) and is_stripe:
        raise SettingsError(
            "BOXOFFICE_STRIPE_API_KEY is the sandbox's, which Stripe doesn't know: set a key of "
            "yours, or start with --sandbox, or name a sandbox in BOXOFFICE_STRIPE_API_BASE"
        )


def _scheme_and_host(base: str) -> tuple[str, str]:
    try:
        parts = urlsplit(base)
        # Reading the port is what finds one that is none.
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"}:
        # It may hold a password, so it is not shown.
        raise SettingsError("BOXOFFICE_STRIPE_API_BASE must be an http or https address")
    return parts.scheme, host


def _number(
    environment: Mapping[str, str], name: str, default: str, unit: str, *, most: int
) -> float:
    text = environment.get(name) or default
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number <= most:
        raise SettingsError(f"{name} must be {unit} from 0 to {most}; it is {text!r}")
    return number

"""The only reader of the environment: every variable, its default, and what it must be."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from boxoffice_server.settings.app_store import (
    AppStoreApp,
    AppStoreKey,
    AppStoreSettings,
    read_app_store,
)
from boxoffice_server.settings.values import (
    Address,
    Secret,
    SettingsError,
    read_address,
    read_number,
    scheme_and_host,
)

__all__ = [
    "DEFAULT_SANDBOX_KEY",
    "DEFAULT_SANDBOX_SECRET",
    "SANDBOX_KEY_PREFIX",
    "STRIPE_API_BASE",
    "Address",
    "AppStoreApp",
    "AppStoreKey",
    "AppStoreSettings",
    "Secret",
    "Settings",
    "SettingsError",
    "read_settings",
    "sandbox_folder",
]

SANDBOX_KEY_PREFIX = "sk_test_boxoffice_"
DEFAULT_SANDBOX_KEY = "sk_test_boxoffice_default"
DEFAULT_SANDBOX_SECRET = "whsec_boxoffice_sandbox"  # noqa: S105 -- the sandbox's, known to all
STRIPE_API_BASE = "https://api.stripe.com"


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
    # None: there is no App Store.
    app_store: AppStoreSettings | None = None

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
    sandbox_address = read_address(environment, "BOXOFFICE_SANDBOX_ADDRESS", "127.0.0.1:12111")
    key = environment.get("BOXOFFICE_STRIPE_API_KEY") or DEFAULT_SANDBOX_KEY
    on_sandbox = sandbox and key.startswith(SANDBOX_KEY_PREFIX)
    default_base = f"http://{sandbox_address}/stripe" if on_sandbox else STRIPE_API_BASE
    base = environment.get("BOXOFFICE_STRIPE_API_BASE") or default_base
    _check_key(key, base)
    return Settings(
        grpc_address=read_address(environment, "BOXOFFICE_GRPC_ADDRESS", "127.0.0.1:50051"),
        http_address=read_address(environment, "BOXOFFICE_HTTP_ADDRESS", "127.0.0.1:8080"),
        database_url=_database_url(environment),
        stripe_api_key=Secret(key),
        stripe_webhook_secrets=_webhook_secrets(environment, key),
        stripe_api_base=base.rstrip("/"),
        sandbox_address=sandbox_address,
        drain_grace=timedelta(
            seconds=read_number(environment, "BOXOFFICE_DRAIN_SECONDS", "8", "seconds", most=3600)
        ),
        authentication_limit=timedelta(
            hours=read_number(
                environment, "BOXOFFICE_AUTHENTICATION_HOURS", "23", "hours", most=720
            )
        ),
        app_store=read_app_store(
            environment,
            sandbox_address=sandbox_address if on_sandbox else None,
            sandbox_folder=sandbox_folder(_database_url(environment)),
        ),
    )


def sandbox_folder(database_url: str) -> Path:
    """Tell where the sandbox keeps its files: beside the service's database, if that is one."""
    scheme, _, path = database_url.partition(":///")
    return Path(path).parent if scheme == "sqlite" else Path()


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
    scheme, host = scheme_and_host("BOXOFFICE_STRIPE_API_BASE", base)
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

"""What can be changed of the App Store while it runs, kept in the sandbox's file."""

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from boxoffice_sandbox.accounts import DEFAULT_SERVICE_KEY
from boxoffice_sandbox.app_store.subscription import PRODUCTION, SANDBOX
from boxoffice_sandbox.errors import invalid_request
from boxoffice_sandbox.store import Store

Json = dict[str, Any]

_NAME = "app_store_settings"
_LONGEST_LEAD_SECONDS = 86_400
# https://developer.apple.com/documentation/appstoreservernotifications/responding-to-app-store-server-notifications
_PRODUCTION_RETRY_HOURS = (1.0, 12.0, 24.0, 48.0, 72.0)


class DeliveryMode(StrEnum):
    """What happens to notifications."""

    NORMAL = "normal"
    HOLD = "hold"
    LOSE = "lose"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppStoreSettings:
    """How the App Store behaves.

    `service_url` is where the service's HTTP port is, and nothing is sent where it is empty;
    `service_key` is what moves the service's clock. `retry_hours` are the pauses between
    attempts, by default those that Apple makes in the environment.
    """

    environment: str = SANDBOX
    service_url: str = ""
    service_key: str = DEFAULT_SERVICE_KEY
    early_renewal_seconds: int = 0
    mode: DeliveryMode = DeliveryMode.NORMAL
    delay_seconds: float = 0
    retry_hours: tuple[float, ...] | None = None

    def pauses(self, environment: str) -> tuple[float, ...]:
        """Return the pauses between attempts, in hours."""
        if self.retry_hours is not None:
            return self.retry_hours
        return _PRODUCTION_RETRY_HOURS if environment == PRODUCTION else ()


CHANGEABLE: dict[str, tuple[type, ...]] = {
    "environment": (str,),
    "service_url": (str,),
    "service_key": (str,),
    "early_renewal_seconds": (int,),
    "mode": (str,),
    "delay_seconds": (int, float),
    "retry_hours": (list, type(None)),
}


def read(store: Store, defaults: AppStoreSettings) -> AppStoreSettings:
    """Return the settings: what was changed, and the defaults for the rest."""
    changes = json.loads(store.setting(_NAME) or "{}")
    return _changed(defaults, changes)


def change(store: Store, defaults: AppStoreSettings, changes: Json) -> AppStoreSettings:
    """Set some; the others keep following the defaults."""
    kept = json.loads(store.setting(_NAME) or "{}") | changes
    changed = _changed(defaults, kept)
    store.set_setting(_NAME, json.dumps(kept))
    return changed


def shown(settings: AppStoreSettings) -> Json:
    """Return settings as JSON, without the key."""
    data = asdict(settings)
    del data["service_key"]
    return data


def _changed(defaults: AppStoreSettings, changes: Json) -> AppStoreSettings:
    given = dict(changes)
    if given.get("environment", SANDBOX) not in (SANDBOX, PRODUCTION):
        raise invalid_request(f"environment must be {SANDBOX} or {PRODUCTION}.")
    if "mode" in given:
        if given["mode"] not in list(DeliveryMode):
            raise invalid_request(f"mode must be one of {', '.join(DeliveryMode)}.")
        given["mode"] = DeliveryMode(given["mode"])
    if not 0 <= given.get("early_renewal_seconds", 0) <= _LONGEST_LEAD_SECONDS:
        message = f"early_renewal_seconds must be from 0 to {_LONGEST_LEAD_SECONDS}."
        raise invalid_request(message)
    if given.get("retry_hours") is not None:
        pauses = given["retry_hours"]
        if not all(isinstance(it, int | float) and it > 0 for it in pauses):
            raise invalid_request("retry_hours must be positive numbers.")
        given["retry_hours"] = tuple(pauses)
    if given.get("delay_seconds", 0) < 0:
        raise invalid_request("delay_seconds must be 0 or more.")
    return replace(defaults, **given)

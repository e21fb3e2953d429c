"""What happens by itself: holds and Sources that nobody used in time are let go."""

from boxoffice_sandbox.scope import Scope
from boxoffice_sandbox.stripe import charging, payment_intents, sources

_HOLD_SECONDS = 7 * 24 * 3600
_CHARGEABLE_SECONDS = 6 * 3600
_PENDING_SECONDS = 3600


def catch_up(scope: Scope) -> None:
    """Do what the account's clock says is due."""
    for intent in scope.latest("payment_intent"):
        if intent["status"] == "requires_capture":
            charge = scope.get("charge", intent["latest_charge"], param="charge")
            if charge["created"] + _HOLD_SECONDS <= scope.now:
                charging.expire(scope, charge)
                payment_intents.cancel_now(scope, intent, reason="expired")
    for charge in scope.latest("charge"):
        if (
            charge["payment_intent"] is None
            and charge["status"] == "succeeded"
            and not charge["captured"]
            and charge["created"] + _HOLD_SECONDS <= scope.now
            and not scope.hidden(charge["id"]).get("expired")
        ):
            charging.expire(scope, charge)
    for source in scope.latest("source"):
        age = scope.now - source["created"]
        if source["status"] == "pending" and age >= _PENDING_SECONDS:
            sources.complete(scope, source, succeeded=False)
        elif (
            source["status"] == "chargeable"
            and source["usage"] == "single_use"
            and age >= _CHARGEABLE_SECONDS
        ):
            sources.cancel(scope, source)

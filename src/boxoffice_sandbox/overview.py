"""What the desk shows: the newest objects of each kind, with the buttons that fit each."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from boxoffice_sandbox import actions
from boxoffice_sandbox.store import Store
from boxoffice_sandbox.stripe.currencies import written_amount

Json = dict[str, Any]
Possible = Callable[[Store, str, Json], list[str]]

_SHOWN, _EVENTS = 50, 30
_LOOKED_AT = 500
"""How far back a section looks, so that the page stays quick beside a full store."""
_REFUND_ACTIONS = {"pending": ["succeed", "fail"], "succeeded": ["fail"]}
_DISPUTE_ACTIONS = {
    "needs_response": ["review", "win", "lose"],
    "under_review": ["win", "lose"],
    "warning_needs_response": ["review", "escalate", "close"],
    "warning_under_review": ["escalate", "close"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Section:
    """One table of the desk."""

    kind: str
    actions: Possible
    where: str = "1"
    """SQL that chooses among the objects of the kind."""


def _payment_actions(store: Store, account: str, intent: Json) -> list[str]:
    if intent["status"] == "succeeded":
        charge = store.find(intent["latest_charge"], account=account)
        return [] if charge is None else _charge_actions(store, account, charge)
    return [str(action) for action in actions.possible(intent)]


def _charge_actions(_store: Store, _account: str, charge: Json) -> list[str]:
    if charge["status"] == "pending":
        return ["succeed", "fail"]
    if charge["status"] != "succeeded" or charge["disputed"] or not charge["captured"]:
        return []
    refund = [] if charge["refunded"] else ["refund"]
    return [*refund, *(["dispute"] if charge["payment_method_details"]["type"] == "card" else [])]


_SECTIONS = (
    _Section(kind="payment_intent", actions=_payment_actions),
    _Section(
        kind="setup_intent",
        actions=lambda _store, _account, it: [str(action) for action in actions.possible_setup(it)],
    ),
    _Section(
        kind="source",
        actions=lambda _store, _account, it: (
            ["authenticate", "refuse", "process"] if it["status"] == "pending" else []
        ),
    ),
    _Section(kind="charge", actions=_charge_actions, where="payment_intent IS NULL"),
    _Section(
        kind="refund",
        actions=lambda _store, _account, it: _REFUND_ACTIONS.get(it["status"], []),
    ),
    _Section(
        kind="dispute",
        actions=lambda _store, _account, it: _DISPUTE_ACTIONS.get(it["status"], []),
    ),
    _Section(
        kind="payment_method",
        actions=lambda _store, _account, it: ["update"] if it["type"] == "card" else [],
        where="customer IS NOT NULL",
    ),
)


def overview(store: Store, now: int) -> Json:
    """Return everything the desk shows, newest first."""
    shown: Json = {"now": now}
    for section in _SECTIONS:
        rows = store.rows(
            "SELECT account, data FROM (SELECT * FROM objects WHERE kind = ? "  # noqa: S608
            f"ORDER BY position DESC LIMIT ?) WHERE {section.where} LIMIT ?",
            (section.kind, _LOOKED_AT, _SHOWN),
        )
        shown[f"{section.kind}s"] = [
            _row(store, section, row["account"], json.loads(row["data"])) for row in rows
        ]
    return shown | {"events": _events(store)}


def _row(store: Store, section: _Section, account: str, item: Json) -> Json:
    return {
        "id": item["id"],
        "account": account,
        "amount": _amount(item),
        "types": _types(item),
        "status": item.get("status") or "saved",
        "error": _error(item),
        "description": item.get("description") or "",
        "created": item["created"],
        "actions": section.actions(store, account, item),
    }


def _amount(item: Json) -> str:
    if item.get("amount") is None or item.get("currency") is None:
        return ""
    return f"{written_amount(item['amount'], item['currency'])} {item['currency']}"


def _types(item: Json) -> str:
    """Return how it is paid, or for what comes after a payment, what it is about."""
    match item["object"]:
        case "payment_intent" | "setup_intent":
            return ", ".join(item["payment_method_types"])
        case "payment_method" if item["type"] == "card":
            card = item["card"]
            expiry = f"{card['exp_month']:02}/{card['exp_year']}"
            return f"{card['brand']} {card['last4']}, {expiry}"
        case "charge":
            return str((item["payment_method_details"] or {}).get("type", ""))
        case "refund" | "dispute":
            return str(item["payment_intent"] or item["charge"])
    return str(item["type"])


def _error(item: Json) -> str:
    error = item.get("last_payment_error") or item.get("last_setup_error") or {}
    said = error.get("decline_code") or error.get("code")
    # A dispute's reason belongs here too: it is why somebody has to look at it.
    return str(said or item.get("failure_reason") or item.get("reason") or "")


def _events(store: Store) -> list[Json]:
    rows = store.rows(
        "SELECT account, data, (SELECT json_group_array(json_array(state, attempts, answer)) "
        "FROM deliveries WHERE event = objects.id) AS sent "
        "FROM objects WHERE kind = 'event' ORDER BY position DESC LIMIT ?",
        (_EVENTS,),
    )
    return [
        _event_row(row["account"], json.loads(row["data"]), json.loads(row["sent"])) for row in rows
    ]


def _event_row(account: str, event: Json, sent: list[tuple[str, int, str | None]]) -> Json:
    return {
        "id": event["id"],
        "account": account,
        "type": event["type"],
        "object": event["data"]["object"]["id"],
        "created": event["created"],
        "delivery": ", ".join(_sent(*delivery) for delivery in sent) or "no address",
    }


def _sent(state: str, attempts: int, answer: str | None) -> str:
    if not attempts:
        return state
    times = "once" if attempts == 1 else f"{attempts} times"
    return f"{state}, tried {times}: {answer}"

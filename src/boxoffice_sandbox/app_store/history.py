"""The two histories that the Server API pages through: transactions, and notifications."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from boxoffice_sandbox.app_store.faulty import AppleError
from boxoffice_sandbox.app_store.records import Records
from boxoffice_sandbox.app_store.subscription import DAY, PRODUCTION, Subscription, Transaction

Json = dict[str, Any]
Query = dict[str, list[str]]

PAGE = 20
# https://developer.apple.com/documentation/appstoreserverapi/get-notification-history
_KEPT = {PRODUCTION: 180 * DAY}
_KEPT_IN_SANDBOX = 30 * DAY
_BAD_REQUEST = 400
_TYPES = ("AUTO_RENEWABLE", "NON_RENEWABLE", "CONSUMABLE", "NON_CONSUMABLE")
_OWNERSHIPS = ("PURCHASED", "FAMILY_SHARED")


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionPage:
    """One page of a customer's transactions, and the mark from which the next goes on."""

    items: list[Transaction]
    revision: str
    has_more: bool


def transaction_page(owned: list[Subscription], query: Query) -> TransactionPage:
    """Return the next page, by when the transactions last changed."""
    descending = _choice(query, "sort", ("ASCENDING", "DESCENDING"), 4_000_021) == "DESCENDING"
    keys = [
        ((it.modified, it.id), it)
        for found in owned
        for it in found.transactions
        if _fits(it, query)
    ]
    keys.sort(key=lambda pair: pair[0], reverse=descending)
    token = query.get("revision", [""])[-1]
    if token:
        mark = _mark(token)
        keys = [pair for pair in keys if (pair[0] < mark if descending else pair[0] > mark)]
    page = keys[:PAGE]
    revision = _token(page[-1][0]) if page else token
    return TransactionPage(
        items=[it for _, it in page], revision=revision, has_more=len(keys) > PAGE
    )


def _fits(transaction: Transaction, query: Query) -> bool:
    fields = transaction.fields
    begins = _time(query, "startDate", 4_000_015)
    ends = _time(query, "endDate", 4_000_016)
    if begins is not None and ends is not None and begins > ends:
        raise _bad(4_000_013, "Invalid request. The start date is after the end date.")
    kinds = _choices(query, "productType", _TYPES, 4_000_022)
    owner = _choice(query, "inAppOwnershipType", _OWNERSHIPS, 4_000_026)
    # Apple's own client in Python writes them with a capital.
    revoked = _choice(query, "revoked", ("true", "false", "True", "False"), 4_000_030)
    return (
        (begins is None or fields["purchaseDate"] >= begins)
        and (ends is None or fields["purchaseDate"] <= ends)
        and (not kinds or "AUTO_RENEWABLE" in kinds)
        and fields["productId"] in query.get("productId", [fields["productId"]])
        and fields["subscriptionGroupIdentifier"]
        in query.get("subscriptionGroupIdentifier", [fields["subscriptionGroupIdentifier"]])
        and owner in (None, fields["inAppOwnershipType"])
        and (revoked is None or (revoked.lower() == "true") == ("revocationDate" in fields))
    )


def _time(query: Query, name: str, code: int) -> int | None:
    if name not in query:
        return None
    text = query[name][-1]
    if not text.isdigit():
        raise _bad(code, f"Invalid request. The {name} is invalid.")
    return int(text)


def _choices(query: Query, name: str, known: tuple[str, ...], code: int) -> list[str]:
    given = query.get(name, [])
    if any(it not in known for it in given):
        raise _bad(code, f"Invalid request. The {name} is invalid.")
    return given


def _choice(query: Query, name: str, known: tuple[str, ...], code: int) -> str | None:
    given = _choices(query, name, known, code)
    return given[-1] if given else None


def _token(mark: tuple[int, str]) -> str:
    return base64.urlsafe_b64encode(f"{mark[0]}:{mark[1]}".encode()).decode()


def _mark(token: str) -> tuple[int, str]:
    try:
        modified, _, name = base64.urlsafe_b64decode(token).decode().partition(":")
        return int(modified), name
    except (binascii.Error, ValueError) as error:
        raise _bad(4_000_005, "Invalid request revision.") from error


def notification_page(
    records: Records, asked: Json, token: str | None, *, environment: str, bundle_id: str, now: int
) -> Json:
    """Return the body of one page of notifications, oldest first."""
    begins, ends = _span(asked, environment, now)
    where = ["environment = ?", "bundle_id = ?", "signed_at BETWEEN ? AND ?", "position > ?"]
    values: list[Any] = [environment, bundle_id, begins, ends, _position(token)]
    if "notificationType" in asked and "transactionId" in asked:
        raise _bad(4_000_019, "Invalid request. Supply either a transaction id or a type.")
    for name, column in (("notificationType", "type"), ("notificationSubtype", "subtype")):
        if asked.get(name) is not None:
            where.append(f"{column} = ?")
            values.append(asked[name])
    if asked.get("transactionId") is not None:
        found = records.by_transaction(str(asked["transactionId"]))
        where.append("customer = ?")
        values.append("" if found is None else found.app_transaction_id)
    if asked.get("onlyFailures"):
        # What is held has not failed: it was not sent yet.
        where.append(
            "NOT EXISTS (SELECT 1 FROM app_store_deliveries AS sent WHERE sent.uuid = "
            "app_store_notifications.uuid AND sent.state IN ('delivered', 'held'))"
        )
    rows = records.store.rows(
        f"SELECT position, uuid, payload FROM app_store_notifications "  # noqa: S608
        f"WHERE {' AND '.join(where)} ORDER BY position LIMIT {PAGE + 1}",
        values,
    )
    page = rows[:PAGE]
    body: Json = {
        "notificationHistory": [
            {"signedPayload": row["payload"], "sendAttempts": records.sends(row["uuid"])}
            for row in page
        ],
        "hasMore": len(rows) > PAGE,
    }
    if body["hasMore"]:
        position = json.dumps({"after": page[-1]["position"]}).encode()
        body["paginationToken"] = base64.urlsafe_b64encode(position).decode()
    return body


def _span(asked: Json, environment: str, now: int) -> tuple[int, int]:
    for name, code in (("startDate", 4_000_015), ("endDate", 4_000_016)):
        if not isinstance(asked.get(name), int):
            raise _bad(code, f"Invalid request. The {name} is invalid.")
    begins, ends = asked["startDate"], asked["endDate"]
    if begins >= ends:
        raise _bad(4_000_013, "Invalid request. The end date precedes the start date.")
    if begins < now - _KEPT.get(environment, _KEPT_IN_SANDBOX):
        raise _bad(4_000_012, "Invalid request. The start date is earlier than allowed.")
    return begins, ends


def _position(token: str | None) -> int:
    if token is None:
        return 0
    try:
        return int(json.loads(base64.urlsafe_b64decode(token))["after"])
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise _bad(4_000_014, "Invalid request. The pagination token is invalid.") from error


def _bad(code: int, message: str) -> AppleError:
    return AppleError(_BAD_REQUEST, code, message)

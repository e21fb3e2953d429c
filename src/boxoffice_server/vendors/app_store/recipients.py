"""For whom something is that Apple signed: Apple signs for every app there is.

The rules are those of Apple's own verifier, which speaks of them only by refusing.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from boxoffice_server.vendors.app_store.payload import ENVIRONMENTS
from boxoffice_server.vendors.json_object import JsonObject, MalformedObjectError, parse_object

PRODUCTION: Final = "Production"
SANDBOX: Final = "Sandbox"

PAYLOAD: Final = "signedPayload"
TRANSACTION: Final = "signedTransactionInfo"
RENEWAL: Final = "signedRenewalInfo"
INSIDE: Final = (TRANSACTION, RENEWAL)
"""What is signed inside of what is signed."""

_PARTS: Final = ("data", "summary", "externalPurchaseToken", "appData")
_JWS_PARTS: Final = 3


class Verdict(Enum):
    """What Apple's verifier says of something signed."""

    OURS = auto()
    THEIRS = auto()  # signed by Apple, for another app or environment
    FORGED = auto()
    UNANSWERED = auto()  # Apple's responders could not be asked


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """An app of ours. Its number is what Production alone tells, and must be known there."""

    bundle_id: str
    app_apple_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """An app of ours on one of Apple's servers."""

    app: App
    environment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A notification with what is signed inside it, all as JSON."""

    payload: JsonObject
    transaction: Mapping[str, object] | None = None
    renewal: Mapping[str, object] | None = None
    signatures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipients:
    """All of our apps on all servers that are listened to. There is one at least."""

    all: tuple[Recipient, ...]

    @classmethod
    def of(cls, apps: Iterable[App], environments: Iterable[str]) -> "Recipients":
        """Name every app on every server."""
        servers = list(environments)
        if not set(servers) <= ENVIRONMENTS.keys():
            raise ValueError("only what Apple's servers have signed can be verified")
        each = tuple(Recipient(app=app, environment=where) for app in apps for where in servers)
        if not each:
            raise ValueError("at least one app and one environment are needed")
        if any(one.environment == PRODUCTION and one.app.app_apple_id is None for one in each):
            raise ValueError("in Production the number of every app must be known")
        return cls(all=each)

    def find(self, bundle_id: str, environment: str) -> Recipient | None:
        """Find who this is for; None if it is for somebody else."""
        return next(
            (
                each
                for each in self.all
                if each.app.bundle_id == bundle_id and each.environment == environment
            ),
            None,
        )

    def addressee(self, payload: JsonObject) -> tuple[Recipient | None, str]:
        """Tell who a notification is for, or why it is for none of ours."""
        part = _recipient_part(payload)
        bundle_id, environment = part.text("bundleId"), _environment(payload, part)
        found = self.find(bundle_id, environment)
        if found is None:
            known = any(each.app.bundle_id == bundle_id for each in self.all)
            return None, "another environment" if known else "another app"
        number = part.count("appAppleId")
        if environment == PRODUCTION and number != found.app.app_apple_id:
            return None, "another app"
        return found, ""

    def stranger(self, opened: Opened) -> str:
        """Tell why a notification is not for us; empty where it is."""
        recipient, why = self.addressee(opened.payload)
        if recipient is None:
            return why
        transaction = JsonObject(opened.transaction or {})
        renewal = JsonObject(opened.renewal or {})
        if transaction.fields and transaction.text("bundleId") != recipient.app.bundle_id:
            return "a transaction of another app"
        parts = [part for part in (transaction, renewal) if part.fields]
        if any(part.text("environment") != recipient.environment for part in parts):
            return "a transaction of another environment"
        if len({part.text("originalTransactionId") for part in parts}) > 1:
            return "a transaction of another subscription"
        return ""


def signed_payload(body: bytes) -> str:
    """Read what is signed from the body of a notification."""
    signed = parse_object(body).text(PAYLOAD)
    if not signed:
        raise MalformedObjectError(f"{PAYLOAD} is missing")
    return signed


def body_of(signed: str) -> bytes:
    """Write what is signed as it is posted, for what Apple answers without a body around it."""
    return json.dumps({PAYLOAD: signed}).encode()


def open_notification(signed: str) -> Opened:
    """Open a notification and what is inside it, without a look at their signatures."""
    payload = open_signed(signed)
    data = payload.child("data")
    inside = {name: data.text(name) for name in INSIDE if data.text(name)}
    transaction, renewal = (
        open_signed(inside[name]).fields if name in inside else None for name in INSIDE
    )
    return Opened(
        payload=payload,
        transaction=transaction,
        renewal=renewal,
        signatures={PAYLOAD: signed, **inside},
    )


def open_signed(signed: str) -> JsonObject:
    """Read the content of a JWS in its compact form (RFC 7515 §3.1)."""
    return parse_object(_part(signed, 1))


def chain_of(signed: str) -> tuple[str, ...]:
    """Read the certificates that a JWS names in its header."""
    chain = parse_object(_part(signed, 0)).fields.get("x5c")
    if not isinstance(chain, list) or not all(isinstance(each, str) for each in chain):
        raise MalformedObjectError("x5c is no list of certificates")
    return tuple(chain)


def _part(signed: str, number: int) -> bytes:
    parts = signed.split(".")
    if len(parts) != _JWS_PARTS:
        raise MalformedObjectError("what is signed has no three parts")
    text = parts[number]
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise MalformedObjectError("what is signed is no base64") from error


def _recipient_part(payload: JsonObject) -> JsonObject:
    """Find the part that says who it is for: there is only one of them."""
    parts = (payload.child(name) for name in _PARTS)
    return next((part for part in parts if part.fields), JsonObject({}))


def _environment(payload: JsonObject, part: JsonObject) -> str:
    if part.fields is not payload.fields.get("externalPurchaseToken"):
        return part.text("environment")
    # https://developer.apple.com/documentation/appstoreservernotifications/externalpurchaseid
    is_sandbox = part.text("externalPurchaseId").startswith("SANDBOX")
    return SANDBOX if is_sandbox else PRODUCTION

"""Notifications as the App Store posts them, signed by the tests' own Apple."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.vendors.app_store.recipients import SANDBOX, App, Recipients
from boxoffice_server.vendors.app_store.verification import AppStoreVerification
from tests.vendors.app_store.payloads import (
    BUNDLE,
    JANUARY_10,
    notification,
    renewal,
    transaction,
)
from tests.vendors.app_store.signing import Apple, the_apple

NOW = JANUARY_10
OURS = Recipients.of([App(bundle_id=BUNDLE)], [SANDBOX])


def verification(apple: Apple | None = None, **changes: Any) -> AppStoreVerification:  # noqa: ANN401
    """A verification of what an Apple signs for our app in the sandbox."""
    given: dict[str, Any] = {
        "recipients": OURS,
        "root_certificates": lambda: [(apple or the_apple()).root.der],
    } | changes
    return AppStoreVerification(**given)


def signed_payload(
    type_: str = "DID_RENEW",
    subtype: str = "",
    *,
    apple: Apple | None = None,
    tx: Mapping[str, object] | None = None,
    ri: Mapping[str, object] | None = None,
    data: Mapping[str, object] | None = None,
    **outer: object,
) -> str:
    """A signed notification of a subscription, with these fields changed at each level."""
    apple = apple or the_apple()
    payload = notification(type_, subtype)
    inside = {
        "signedTransactionInfo": apple.sign(transaction(**(tx or {}))),
        "signedRenewalInfo": apple.sign(renewal(**(ri or {}))),
    }
    merged = {**payload["data"], **inside, **(data or {})}  # type: ignore[dict-item]
    kept = {name: value for name, value in merged.items() if value is not None}
    return apple.sign({**payload, "data": kept, **outer})


def body_of(signed: str) -> bytes:
    """What is posted."""
    return json.dumps({"signedPayload": signed}).encode()


async def refusal_of(
    body: bytes, *, using: AppStoreVerification | None = None, now: datetime = NOW
) -> Reason | None:
    """The reason for which something posted is refused; None if it is not."""
    verifying = using or verification()
    try:
        await verifying.notification(body, now=now)
    except BoxofficeError as error:
        return error.reason
    finally:
        await verifying.close()
    return None

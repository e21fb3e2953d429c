"""App Store Server Notifications V2: a notice becomes the signed payload that Apple would send."""

from collections.abc import Callable
from typing import Any

from boxoffice_sandbox.app_store.life import Notice
from boxoffice_sandbox.app_store.subscription import PRODUCTION

Json = dict[str, Any]
Sign = Callable[[Json], str]

APP_APPLE_ID = 1_234_567_890
"""The number of the sandbox's app; Apple tells it in production only."""
_BUNDLE_VERSION = "1"


def app_fields(environment: str, bundle_id: str) -> Json:
    """Return what names the app in notifications and answers."""
    number = {"appAppleId": APP_APPLE_ID} if environment == PRODUCTION else {}
    return {**number, "bundleId": bundle_id, "environment": environment}


def signed_notification(notice: Notice, sign: Sign, *, uuid: str, signed_at: int) -> str:
    """Return the `signedPayload`; what is signed in it is signed at the same moment."""
    subtype = {} if notice.subtype is None else {"subtype": notice.subtype}
    payload = {
        "notificationType": notice.type,
        **subtype,
        "notificationUUID": uuid,
        **(notice.instead or {"data": _data(notice, sign, signed_at)}),
        "version": "2.0",
        "signedDate": signed_at,
    }
    return sign(payload)


def _data(notice: Notice, sign: Sign, signed_at: int) -> Json:
    data: Json = {
        **app_fields(notice.environment, notice.bundle_id),
        "bundleVersion": _BUNDLE_VERSION,
    }
    if notice.transaction is not None:
        data["signedTransactionInfo"] = sign({**notice.transaction, "signedDate": signed_at})
    if notice.renewal is not None:
        data["signedRenewalInfo"] = sign({**notice.renewal, "signedDate": signed_at})
    if notice.status is not None:
        data["status"] = notice.status
    return data | notice.data

"""What the App Store Server API answers, and what its refusals mean, without its library."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from boxoffice_server.domain.errors import BoxofficeError, Reason

_ASK_AGAIN: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The key of the Server API, from App Store Connect. The key itself is read when needed."""

    issuer_id: str
    key_id: str
    private_key: Callable[[], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How a subscription stands, both parts signed. `number` is Apple's."""

    number: int | None
    transaction: str
    renewal: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of what is signed, and after what the next one begins; None: this was the last."""

    signed: tuple[str, ...]
    after: str | None


def unavailable(message: str, *, vendor_code: str = "") -> BoxofficeError:
    """Say that the App Store could not be asked, and may be asked again."""
    return BoxofficeError(
        Reason.VENDOR_UNAVAILABLE,
        message,
        metadata={"vendor_code": vendor_code} if vendor_code else {},
        retry_after=_ASK_AGAIN,
    )


def not_found() -> BoxofficeError:
    """Say that the App Store knows no such transaction; not which, for it may be anything."""
    return BoxofficeError(
        Reason.TRANSACTION_NOT_FOUND, "the App Store knows no such transaction of our apps"
    )


def refused(message: str, *, vendor_code: str) -> BoxofficeError:
    """Say that the App Store has refused for good."""
    return BoxofficeError(
        Reason.VENDOR_REFUSED,
        f"the App Store refused: {message}",
        metadata={"vendor_code": vendor_code},
    )


def invalid(fault: str) -> BoxofficeError:
    """Refuse what was handed in."""
    return BoxofficeError(
        Reason.TRANSACTION_INVALID,
        f"it is no subscription that the App Store has sold in one of our apps: {fault}",
        metadata={"fault": fault},
    )


def no_key() -> BoxofficeError:
    """Say that there is no key by which the App Store could be asked."""
    return BoxofficeError(
        Reason.SOURCE_NOT_CONFIGURED,
        "the service has no key by which the App Store could be asked",
        metadata={"source": "app_store"},
    )

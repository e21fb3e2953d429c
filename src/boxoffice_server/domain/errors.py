"""Every refusal the service can answer, as one exception with a reason from a closed list.

Which gRPC status a reason becomes is decided at the edge, in `api/errors.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Reason(StrEnum):
    """The machine-readable reason of an error; the same words as `ErrorReason` on the wire."""

    FIELD_INVALID = "FIELD_INVALID"
    PAGE_TOKEN_INVALID = "PAGE_TOKEN_INVALID"  # noqa: S105 -- a reason's name, no secret
    RESUME_TOKEN_INVALID = "RESUME_TOKEN_INVALID"  # noqa: S105 -- a reason's name, no secret
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    IN_PROGRESS = "IN_PROGRESS"
    ETAG_MISMATCH = "ETAG_MISMATCH"
    CARD_NUMBER_REFUSED = "CARD_NUMBER_REFUSED"
    PRODUCT_NOT_FOUND = "PRODUCT_NOT_FOUND"
    PRODUCT_DELETED = "PRODUCT_DELETED"
    CURRENCY_NOT_PRICED = "CURRENCY_NOT_PRICED"
    CURRENCY_NOT_SUPPORTED = "CURRENCY_NOT_SUPPORTED"
    DATA_SCHEMA_MISMATCH = "DATA_SCHEMA_MISMATCH"
    ORDER_NOT_FOUND = "ORDER_NOT_FOUND"
    PAYMENT_NOT_FOUND = "PAYMENT_NOT_FOUND"
    TASK_NOT_FOUND = "TASK_NOT_FOUND"
    LEASE_LOST = "LEASE_LOST"
    POSITION_COMPACTED = "POSITION_COMPACTED"
    POSITION_AHEAD = "POSITION_AHEAD"
    LOG_CHANGED = "LOG_CHANGED"
    SLOW_CONSUMER = "SLOW_CONSUMER"
    SOURCE_UNKNOWN = "SOURCE_UNKNOWN"
    SIGNATURE_INVALID = "SIGNATURE_INVALID"
    TIMESTAMP_OUT_OF_TOLERANCE = "TIMESTAMP_OUT_OF_TOLERANCE"
    NOTIFICATION_MALFORMED = "NOTIFICATION_MALFORMED"
    NOTIFICATION_NOT_FOUND = "NOTIFICATION_NOT_FOUND"
    LIVEMODE_MISMATCH = "LIVEMODE_MISMATCH"
    VENDOR_REFUSED = "VENDOR_REFUSED"
    VENDOR_UNAVAILABLE = "VENDOR_UNAVAILABLE"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    CARD_DECLINED = "CARD_DECLINED"
    AUTHENTICATION_REQUIRED = "AUTHENTICATION_REQUIRED"
    REQUEST_EXPIRED = "REQUEST_EXPIRED"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    INTERNAL = "INTERNAL"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    PAYMENT_METHOD_NOT_FOUND = "PAYMENT_METHOD_NOT_FOUND"
    PAYMENT_METHOD_NOT_REUSABLE = "PAYMENT_METHOD_NOT_REUSABLE"
    PAYMENT_NOT_CAPTURABLE = "PAYMENT_NOT_CAPTURABLE"
    AMOUNT_EXCEEDS_AUTHORISATION = "AMOUNT_EXCEEDS_AUTHORISATION"
    PAYMENT_NOT_CANCELLABLE = "PAYMENT_NOT_CANCELLABLE"
    PAYMENT_NOT_REFUNDABLE = "PAYMENT_NOT_REFUNDABLE"
    REFUND_EXCEEDS_PAYMENT = "REFUND_EXCEEDS_PAYMENT"
    CUSTOMER_NOT_FOUND = "CUSTOMER_NOT_FOUND"
    ORDER_NOT_CANCELLABLE = "ORDER_NOT_CANCELLABLE"
    ORDER_NOT_CHARGEABLE = "ORDER_NOT_CHARGEABLE"
    SOURCE_MISMATCH = "SOURCE_MISMATCH"
    SUBSCRIPTION_PRODUCT_NOT_FOUND = "SUBSCRIPTION_PRODUCT_NOT_FOUND"
    SUBSCRIPTION_PRODUCT_EXISTS = "SUBSCRIPTION_PRODUCT_EXISTS"
    TIER_RANK_MISMATCH = "TIER_RANK_MISMATCH"
    SUBSCRIPTION_PRODUCT_USED = "SUBSCRIPTION_PRODUCT_USED"
    SUBSCRIPTION_GROUP_NOT_FOUND = "SUBSCRIPTION_GROUP_NOT_FOUND"
    SUBSCRIPTION_TIER_NOT_FOUND = "SUBSCRIPTION_TIER_NOT_FOUND"
    ENTITLEMENT_NOT_FOUND = "ENTITLEMENT_NOT_FOUND"
    SUBSCRIPTION_HELD = "SUBSCRIPTION_HELD"
    TRANSACTION_INVALID = "TRANSACTION_INVALID"
    TRANSACTION_NOT_FOUND = "TRANSACTION_NOT_FOUND"
    GRANT_NOT_FOUND = "GRANT_NOT_FOUND"
    GRANT_ENDED = "GRANT_ENDED"
    PRODUCT_NOT_GRANTABLE = "PRODUCT_NOT_GRANTABLE"
    SOURCE_NOT_CONFIGURED = "SOURCE_NOT_CONFIGURED"
    SUBSCRIPTION_NOT_RECONCILABLE = "SUBSCRIPTION_NOT_RECONCILABLE"
    LINEAGE_NOT_FOUND = "LINEAGE_NOT_FOUND"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldViolation:
    """What is wrong with one field. `field` is its path in the request, such as `product.name`."""

    field: str
    description: str


class BoxofficeError(Exception):
    """A refusal that the caller is meant to read.

    `message` is for people and holds no secret; every variable part of it is in `metadata` too.
    `retry_after` says when the same request may be worth sending again.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        metadata: dict[str, str] | None = None,
        violations: Sequence[FieldViolation] = (),
        retry_after: timedelta | None = None,
    ) -> None:
        """Hold what the caller is told."""
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.retry_after = retry_after


def invalid_fields(violations: Sequence[FieldViolation]) -> BoxofficeError:
    """Refuse a request for what is wrong with its fields; the message names them all."""
    message = "; ".join(f"{each.field}: {each.description}" for each in violations)
    return BoxofficeError(Reason.FIELD_INVALID, message, violations=violations)


def invalid_field(field: str, description: str) -> BoxofficeError:
    """Refuse a request for what is wrong with one field."""
    return invalid_fields([FieldViolation(field=field, description=description)])

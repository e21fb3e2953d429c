"""How a refusal looks on the wire: one google.rpc.Status with exactly one ErrorInfo."""

from collections.abc import Sequence

from google.protobuf import duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

from boxoffice_server.domain.errors import BoxofficeError, FieldViolation, Reason

DOMAIN = "boxoffice"
DETAILS_KEY = "grpc-status-details-bin"

STATUS_CODES: dict[Reason, StatusCode] = {
    Reason.FIELD_INVALID: StatusCode.INVALID_ARGUMENT,
    Reason.PAGE_TOKEN_INVALID: StatusCode.INVALID_ARGUMENT,
    Reason.RESUME_TOKEN_INVALID: StatusCode.INVALID_ARGUMENT,
    Reason.REQUEST_ID_REUSED: StatusCode.ALREADY_EXISTS,
    Reason.IN_PROGRESS: StatusCode.ABORTED,
    Reason.ETAG_MISMATCH: StatusCode.ABORTED,
    Reason.CARD_NUMBER_REFUSED: StatusCode.INVALID_ARGUMENT,
    Reason.PRODUCT_NOT_FOUND: StatusCode.NOT_FOUND,
    Reason.PRODUCT_DELETED: StatusCode.FAILED_PRECONDITION,
    Reason.CURRENCY_NOT_PRICED: StatusCode.INVALID_ARGUMENT,
    Reason.CURRENCY_NOT_SUPPORTED: StatusCode.INVALID_ARGUMENT,
    Reason.DATA_SCHEMA_MISMATCH: StatusCode.INVALID_ARGUMENT,
    Reason.ORDER_NOT_FOUND: StatusCode.NOT_FOUND,
    Reason.PAYMENT_NOT_FOUND: StatusCode.NOT_FOUND,
    Reason.TASK_NOT_FOUND: StatusCode.NOT_FOUND,
    Reason.LEASE_LOST: StatusCode.FAILED_PRECONDITION,
    Reason.POSITION_COMPACTED: StatusCode.OUT_OF_RANGE,
    Reason.POSITION_AHEAD: StatusCode.OUT_OF_RANGE,
    Reason.LOG_CHANGED: StatusCode.FAILED_PRECONDITION,
    Reason.SLOW_CONSUMER: StatusCode.RESOURCE_EXHAUSTED,
    Reason.SOURCE_UNKNOWN: StatusCode.INVALID_ARGUMENT,
    Reason.SIGNATURE_INVALID: StatusCode.PERMISSION_DENIED,
    Reason.TIMESTAMP_OUT_OF_TOLERANCE: StatusCode.PERMISSION_DENIED,
    Reason.NOTIFICATION_MALFORMED: StatusCode.INVALID_ARGUMENT,
    Reason.NOTIFICATION_NOT_FOUND: StatusCode.NOT_FOUND,
    Reason.LIVEMODE_MISMATCH: StatusCode.FAILED_PRECONDITION,
    Reason.VENDOR_REFUSED: StatusCode.FAILED_PRECONDITION,
    Reason.VENDOR_UNAVAILABLE: StatusCode.UNAVAILABLE,
    Reason.OUTCOME_UNKNOWN: StatusCode.UNAVAILABLE,
    Reason.CARD_DECLINED: StatusCode.FAILED_PRECONDITION,
    Reason.AUTHENTICATION_REQUIRED: StatusCode.FAILED_PRECONDITION,
    Reason.REQUEST_EXPIRED: StatusCode.FAILED_PRECONDITION,
    Reason.STORE_UNAVAILABLE: StatusCode.UNAVAILABLE,
    Reason.INTERNAL: StatusCode.INTERNAL,
    Reason.DEADLINE_EXCEEDED: StatusCode.DEADLINE_EXCEEDED,
    Reason.PAYMENT_METHOD_NOT_FOUND: StatusCode.NOT_FOUND,
    Reason.PAYMENT_METHOD_NOT_REUSABLE: StatusCode.INVALID_ARGUMENT,
    Reason.PAYMENT_NOT_CAPTURABLE: StatusCode.FAILED_PRECONDITION,
    Reason.AMOUNT_EXCEEDS_AUTHORISATION: StatusCode.FAILED_PRECONDITION,
    Reason.PAYMENT_NOT_CANCELLABLE: StatusCode.FAILED_PRECONDITION,
    Reason.PAYMENT_NOT_REFUNDABLE: StatusCode.FAILED_PRECONDITION,
    Reason.REFUND_EXCEEDS_PAYMENT: StatusCode.FAILED_PRECONDITION,
    Reason.CUSTOMER_NOT_FOUND: StatusCode.NOT_FOUND,
    Reason.ORDER_NOT_CANCELLABLE: StatusCode.FAILED_PRECONDITION,
    Reason.ORDER_NOT_CHARGEABLE: StatusCode.FAILED_PRECONDITION,
    Reason.SOURCE_MISMATCH: StatusCode.FAILED_PRECONDITION,
    Reason.SUBSCRIPTION_PRODUCT_NOT_FOUND: StatusCode.NOT_FOUND,
    Reason.SUBSCRIPTION_PRODUCT_EXISTS: StatusCode.ALREADY_EXISTS,
    Reason.TIER_RANK_MISMATCH: StatusCode.FAILED_PRECONDITION,
    Reason.SUBSCRIPTION_PRODUCT_USED: StatusCode.FAILED_PRECONDITION,
    Reason.SUBSCRIPTION_GROUP_NOT_FOUND: StatusCode.NOT_FOUND,
    Reason.SUBSCRIPTION_TIER_NOT_FOUND: StatusCode.NOT_FOUND,
    Reason.ENTITLEMENT_NOT_FOUND: StatusCode.NOT_FOUND,
    Reason.SUBSCRIPTION_HELD: StatusCode.FAILED_PRECONDITION,
    Reason.TRANSACTION_INVALID: StatusCode.INVALID_ARGUMENT,
    Reason.TRANSACTION_NOT_FOUND: StatusCode.NOT_FOUND,
    Reason.GRANT_NOT_FOUND: StatusCode.NOT_FOUND,
    Reason.GRANT_ENDED: StatusCode.FAILED_PRECONDITION,
    Reason.PRODUCT_NOT_GRANTABLE: StatusCode.FAILED_PRECONDITION,
    Reason.SOURCE_NOT_CONFIGURED: StatusCode.FAILED_PRECONDITION,
    Reason.SUBSCRIPTION_NOT_RECONCILABLE: StatusCode.FAILED_PRECONDITION,
    Reason.LINEAGE_NOT_FOUND: StatusCode.NOT_FOUND,
}


# gRPC drops an error whose trailers are over 8 KiB (its `grpc.max_metadata_size`). The message goes
# twice, once with three bytes for each that is not ASCII, and the details grow by a third.
MOST_MESSAGE_BYTES = 800
MOST_VIOLATIONS_BYTES = 2400
MOST_VIOLATION_TEXT_BYTES = 200


def to_status(error: BoxofficeError) -> status_pb2.Status:
    """Write an error as callers get it: of very many violations, the first ones."""
    code: int = STATUS_CODES[error.reason].value[0]
    status = status_pb2.Status(code=code, message=_cut(error.message, MOST_MESSAGE_BYTES))
    status.details.add().Pack(
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    )
    if error.violations:
        status.details.add().Pack(_bad_request(error.violations))
    if error.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromTimedelta(error.retry_after)
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return status


def _bad_request(violations: Sequence[FieldViolation]) -> error_details_pb2.BadRequest:
    bad = error_details_pb2.BadRequest()
    for each in violations:
        bad.field_violations.add(
            field=_cut(each.field, MOST_VIOLATION_TEXT_BYTES),
            description=_cut(each.description, MOST_VIOLATION_TEXT_BYTES),
        )
        if bad.ByteSize() > MOST_VIOLATIONS_BYTES:
            del bad.field_violations[-1]
            break
    return bad


def _cut(text: str, most_bytes: int) -> str:
    """Shorten a text that is too long, and show that it was."""
    raw = text.encode()
    if len(raw) <= most_bytes:
        return text
    mark = "\N{HORIZONTAL ELLIPSIS}"
    return raw[: most_bytes - len(mark.encode())].decode(errors="ignore") + mark


def from_status(status: status_pb2.Status) -> BoxofficeError:
    """Read an error as it was kept with the operation that ended in it."""
    info = error_details_pb2.ErrorInfo()
    if not any(detail.Unpack(info) for detail in status.details):
        raise AssertionError("a kept error always has an ErrorInfo")
    return BoxofficeError(Reason(info.reason), status.message, metadata=dict(info.metadata))

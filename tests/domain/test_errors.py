"""What a refusal carries."""

from datetime import timedelta

from boxoffice_server.domain.errors import (
    BoxofficeError,
    FieldViolation,
    Reason,
    invalid_field,
    invalid_fields,
)


def test_an_error_says_its_message() -> None:
    """A log line and a traceback show what happened."""
    error = BoxofficeError(
        Reason.ORDER_NOT_FOUND,
        "there is no order ord_1",
        metadata={"order_id": "ord_1"},
        retry_after=timedelta(seconds=1),
    )
    assert str(error) == error.message == "there is no order ord_1"
    assert error.metadata == {"order_id": "ord_1"}
    assert error.retry_after == timedelta(seconds=1)
    assert error.violations == ()


def test_an_errors_metadata_is_its_own() -> None:
    """Whoever made it may go on using theirs."""
    metadata = {"order_id": "ord_1"}
    error = BoxofficeError(Reason.ORDER_NOT_FOUND, "gone", metadata=metadata)
    metadata["order_id"] = "ord_2"
    assert error.metadata == {"order_id": "ord_1"}


def test_a_request_is_refused_for_all_its_fields_at_once() -> None:
    """The message reads on its own, and the violations are kept for programs."""
    violations = [
        FieldViolation(field="user_id", description="is required"),
        FieldViolation(field="tags", description="must have at most 50 tags"),
    ]
    error = invalid_fields(violations)
    assert error.reason is Reason.FIELD_INVALID
    assert error.message == "user_id: is required; tags: must have at most 50 tags"
    assert error.violations == tuple(violations)


def test_a_request_is_refused_for_one_field() -> None:
    """The short form says the same."""
    error = invalid_field("user_id", "is required")
    assert error.violations == (FieldViolation(field="user_id", description="is required"),)


def test_a_reason_is_its_own_word() -> None:
    """The words on the wire are the enum's names."""
    assert all(reason.name == reason.value for reason in Reason)

"""Services that are wrong in one way, so that tests can show that they would notice."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from boxoffice_server.domain import payment as payments
from boxoffice_server.domain.errors import BoxofficeError
from boxoffice_server.domain.notification import Notification, NotificationState, Source
from boxoffice_server.domain.payment import Payment, PaymentEvent, PaymentEventType
from boxoffice_server.intake import Delivered, Intake
from boxoffice_server.operations.engine import Operations
from boxoffice_server.ports import Operation
from boxoffice_server.vendors.stripe import refusals
from boxoffice_server.vendors.stripe.http_client import StripeHttpClient
from boxoffice_server.vendors.stripe.refusals import Outcome

# Each replaces a part of the service in a process that is given up to it.
# mypy: disable-error-code="method-assign, assignment"


def do(name: str) -> None:
    """Make this service wrong in the way of this name; in no way if it is empty."""
    if name:
        WRONGS[name]()


def random_keys() -> None:
    """Every request to Stripe has a key of its own."""
    send = StripeHttpClient.request_async

    async def send_anew(
        self: StripeHttpClient, method: str, url: str, headers: Mapping[str, str], data: object
    ) -> tuple[bytes, int, Mapping[str, str]]:
        anew = {**headers, "Idempotency-Key": str(uuid.uuid4())}
        return await send(self, method, url, anew, data)

    StripeHttpClient.request_async = send_anew


def unkept_notifications() -> None:
    """What could not be kept is acknowledged all the same."""
    take = Intake.take

    async def take_lightly(self: Intake, verified: Any) -> Delivered:  # noqa: ANN401
        try:
            return await take(self, verified)
        except (BoxofficeError, RuntimeError):
            return Delivered(
                notification=Notification(
                    id="",
                    source=Source.STRIPE,
                    vendor_event_id=verified.vendor_event_id,
                    type=verified.type,
                    resource_id="",
                    event_time=verified.event_time,
                    receive_time=verified.event_time,
                    state=NotificationState.PARKED,
                    order_id="",
                    payment_id="",
                    related_id="",
                    body=b"",
                ),
                duplicate=True,
            )

    Intake.take = take_lightly


def events_of_nothing() -> None:
    """A payment that is told the same again has another event."""

    def change_always(payment: Payment, changed: Payment, **told: Any) -> PaymentEvent:  # noqa: ANN401
        return PaymentEvent(
            type=PaymentEventType.UPDATED,
            previous_status=payment.state.status,
            payment=replace(changed, version=payment.version + 1, update_time=told["now"]),
            create_time=told["now"],
        )

    payments.change = change_always


def unknown_told_as_failure() -> None:
    """What may have happened is told as if Stripe had refused it."""
    outcome_of = refusals.outcome_of

    def hasty(error: Any) -> Outcome:  # noqa: ANN401
        outcome = outcome_of(error)
        return Outcome.REFUSED if outcome is Outcome.UNKNOWN else outcome

    refusals.outcome_of = hasty


def nobody_takes_up() -> None:
    """What was left is left."""

    async def take_up_nothing(self: Operations, *, limit: int = 0) -> int:
        del self
        return limit

    Operations.take_up_left = take_up_nothing


def blind_resend() -> None:
    """What was left is sent again, however long ago that was."""

    async def send(
        self: Operations, operation: Operation, *, find: object, send: Callable[[str], Any]
    ) -> Any:  # noqa: ANN401
        del self, find
        return await send(operation.vendor_key)

    Operations.once = send


WRONGS: Mapping[str, Callable[[], None]] = {
    wrong.__name__: wrong
    for wrong in (
        random_keys,
        unkept_notifications,
        events_of_nothing,
        unknown_told_as_failure,
        nobody_takes_up,
        blind_resend,
    )
}

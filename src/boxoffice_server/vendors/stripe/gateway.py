"""The payment gateway over Stripe: intents, legacy charges and refunds."""

from collections.abc import Callable
from datetime import datetime

import stripe
from stripe.params import (
    ChargeCreateParams,
    ChargeListParams,
    CustomerListParams,
    PaymentIntentCreateParams,
    PaymentIntentListParams,
    RefundCreateParams,
    RefundListParams,
)

from boxoffice_server.domain.payment import CaptureMethod, Customer, Payment, PaymentMethodType
from boxoffice_server.domain.refund import Refund, RefundNews
from boxoffice_server.ports import (
    ChargeAnswer,
    ChargeRequest,
    IntentAnswer,
    IntentRequest,
    SourceAnswer,
)
from boxoffice_server.vendors.json_object import JsonObject
from boxoffice_server.vendors.stripe import metadata as keys
from boxoffice_server.vendors.stripe.answers import (
    charge_answer,
    declined_charge,
    intent_answer,
    source_answer,
)
from boxoffice_server.vendors.stripe.client import Call, Listing, StripeConnection, page_after
from boxoffice_server.vendors.stripe.news import refund_news
from boxoffice_server.vendors.stripe.refusals import fault_of


class StripeGateway:
    """Moves money through Stripe."""

    def __init__(self, connection: StripeConnection) -> None:
        self._stripe = connection

    async def create_customer(self, customer: Customer, *, key: str) -> str:
        call = Call(
            name="create_customer",
            about={"customer_id": customer.id},
            writes=True,
            send=lambda: self._stripe.v1.customers.create_async(
                params={
                    "metadata": {keys.USER_ID: customer.user_id, keys.CUSTOMER_ID: customer.id}
                },
                options={"idempotency_key": key},
            ),
        )
        return await self._stripe.ask(call, lambda answer: answer.identifier("id"))

    async def find_customer(self, customer: Customer, *, since: datetime) -> str | None:
        params: CustomerListParams = {"created": {"gte": int(since.timestamp())}}
        listing = Listing(
            name="find_customer",
            about={"customer_id": customer.id},
            send=lambda after: self._stripe.v1.customers.list_async(page_after(params, after)),
        )
        return await self._stripe.find(
            listing, _names(keys.CUSTOMER_ID, customer.id), lambda found: found.identifier("id")
        )

    async def create_intent(self, request: IntentRequest) -> IntentAnswer:
        call = Call(
            name="create_intent",
            about={"payment_id": request.payment.id},
            writes=True,
            send=lambda: self._stripe.post(
                "/v1/payment_intents", _intent_params(request), key=request.key
            ),
            answer_in=_declined_intent,
        )
        return await self._stripe.ask(call, intent_answer)

    async def read_intent(self, stripe_payment_intent_id: str) -> IntentAnswer:
        call = Call(
            name="read_intent",
            about={"stripe_payment_intent_id": stripe_payment_intent_id},
            writes=False,
            send=lambda: self._stripe.v1.payment_intents.retrieve_async(stripe_payment_intent_id),
        )
        return await self._stripe.ask(call, intent_answer)

    async def find_intent(
        self, payment: Payment, stripe_customer_id: str, *, since: datetime
    ) -> IntentAnswer | None:
        params: PaymentIntentListParams = {
            "customer": stripe_customer_id,
            "created": {"gte": int(since.timestamp())},
        }
        listing = Listing(
            name="find_intent",
            about={"payment_id": payment.id},
            send=lambda after: self._stripe.v1.payment_intents.list_async(
                page_after(params, after)
            ),
        )
        return await self._stripe.find(listing, _names(keys.PAYMENT_ID, payment.id), intent_answer)

    async def capture_intent(
        self, payment: Payment, *, amount: int | None, key: str
    ) -> IntentAnswer:
        call = Call(
            name="capture_intent",
            about={"payment_id": payment.id},
            writes=True,
            send=lambda: self._stripe.v1.payment_intents.capture_async(
                payment.stripe_payment_intent_id,
                params={} if amount is None else {"amount_to_capture": amount},
                options={"idempotency_key": key},
            ),
            answer_in=lambda error: _intent_that_is("succeeded", error),
        )
        return await self._stripe.ask(call, intent_answer)

    async def cancel_intent(self, payment: Payment, *, key: str) -> IntentAnswer:
        call = Call(
            name="cancel_intent",
            about={"payment_id": payment.id},
            writes=True,
            send=lambda: self._stripe.v1.payment_intents.cancel_async(
                payment.stripe_payment_intent_id, options={"idempotency_key": key}
            ),
            answer_in=lambda error: _intent_that_is("canceled", error),
        )
        return await self._stripe.ask(call, intent_answer)

    async def create_refund(self, refund: Refund, payment: Payment, *, key: str) -> RefundNews:
        call = Call(
            name="create_refund",
            about={"refund_id": refund.id, "payment_id": payment.id},
            writes=True,
            send=lambda: self._stripe.v1.refunds.create_async(
                params=_refund_params(refund, payment), options={"idempotency_key": key}
            ),
        )
        return await self._stripe.ask(call, refund_news)

    async def find_refund(self, refund: Refund, payment: Payment) -> RefundNews | None:
        params: RefundListParams = {}
        if payment.stripe_payment_intent_id:
            params["payment_intent"] = payment.stripe_payment_intent_id
        else:
            params["charge"] = payment.stripe_charge_id
        listing = Listing(
            name="find_refund",
            about={"refund_id": refund.id, "payment_id": payment.id},
            send=lambda after: self._stripe.v1.refunds.list_async(page_after(params, after)),
        )
        return await self._stripe.find(listing, _names(keys.REFUND_ID, refund.id), refund_news)

    async def read_source(self, stripe_source_id: str) -> SourceAnswer:
        call = Call(
            name="read_source",
            about={"stripe_source_id": stripe_source_id},
            writes=False,
            send=lambda: self._stripe.v1.sources.retrieve_async(stripe_source_id),
        )
        return await self._stripe.ask(call, source_answer)

    async def create_charge(self, request: ChargeRequest) -> ChargeAnswer:
        payment = request.payment
        call = Call(
            name="create_charge",
            about={"payment_id": payment.id, "stripe_source_id": request.stripe_source_id},
            writes=True,
            send=lambda: self._stripe.v1.charges.create_async(
                params=_charge_params(request), options={"idempotency_key": request.key}
            ),
            answer_in=_declined_charge,
        )

        def read(told: JsonObject) -> ChargeAnswer:
            made = told.text("object") == "charge"
            return charge_answer(told) if made else declined_charge(told, payment)

        return await self._stripe.ask(call, read)

    async def find_charge(
        self, payment: Payment, *, operation_id: str, since: datetime
    ) -> ChargeAnswer | None:
        params: ChargeListParams = {"created": {"gte": int(since.timestamp())}}
        listing = Listing(
            name="find_charge",
            about={"payment_id": payment.id},
            send=lambda after: self._stripe.v1.charges.list_async(page_after(params, after)),
        )
        attempt = _names(keys.OPERATION_ID, operation_id)
        return await self._stripe.find(listing, attempt, charge_answer)


def _names(key: str, our_id: str) -> Callable[[JsonObject], bool]:
    """Make the test for an object whose metadata names one of ours."""

    def names(told: JsonObject) -> bool:
        return told.child("metadata").text(key) == our_id

    return names


def _intent_params(request: IntentRequest) -> PaymentIntentCreateParams:
    """Say what is to be paid, how, by whom, and what of ours it is for."""
    payment, method = request.payment, request.stripe_payment_method_id
    # What is saved for reuse is a card: the other methods pay once.
    type_ = PaymentMethodType.CARD if method else payment.method_type
    params: PaymentIntentCreateParams = {
        "amount": payment.amount.amount,
        "currency": payment.amount.currency,
        "customer": request.stripe_customer_id,
        "payment_method_types": [type_.value],
        "metadata": _metadata(payment),
    }
    if payment.description:
        params["description"] = payment.description
    if payment.capture_method is CaptureMethod.MANUAL:
        params["capture_method"] = "manual"
    if payment.reuse is not None:
        params["setup_future_usage"] = payment.reuse.value
    if method:
        params["payment_method"] = method
        if payment.off_session:
            params["confirm"] = True
            params["off_session"] = True
    return params


def _charge_params(request: ChargeRequest) -> ChargeCreateParams:
    payment = request.payment
    params: ChargeCreateParams = {
        "amount": payment.amount.amount,
        "currency": payment.amount.currency,
        "source": request.stripe_source_id,
        "metadata": {**_metadata(payment), keys.OPERATION_ID: request.operation_id},
    }
    if request.stripe_customer_id:
        params["customer"] = request.stripe_customer_id
    if payment.description:
        params["description"] = payment.description
    return params


def _refund_params(refund: Refund, payment: Payment) -> RefundCreateParams:
    params: RefundCreateParams = {
        "amount": refund.amount.amount,
        "metadata": {
            keys.REFUND_ID: refund.id,
            keys.PAYMENT_ID: payment.id,
            keys.USER_ID: refund.user_id,
        },
    }
    if payment.stripe_payment_intent_id:
        params["payment_intent"] = payment.stripe_payment_intent_id
    else:
        params["charge"] = payment.stripe_charge_id
    if refund.reason is not None:
        params["reason"] = refund.reason.value
    return params


def _metadata(payment: Payment) -> dict[str, str]:
    ours = {keys.PAYMENT_ID: payment.id, keys.USER_ID: payment.user_id}
    return ours | ({keys.ORDER_ID: payment.order_id} if payment.order_id else {})


def _intent_in(error: stripe.StripeError) -> JsonObject | None:
    intent = fault_of(error).fields.get("payment_intent")
    return JsonObject(intent) if isinstance(intent, dict) else None


def _declined_intent(error: stripe.StripeError) -> JsonObject | None:
    """Find the intent that a decline has left behind.

    https://docs.stripe.com/error-handling#payment-errors
    """
    return _intent_in(error) if isinstance(error, stripe.CardError) else None


def _intent_that_is(status: str, error: stripe.StripeError) -> JsonObject | None:
    """Find the intent that can't become what it is already."""
    intent = _intent_in(error)
    return intent if intent and intent.fields.get("status") == status else None


def _declined_charge(error: stripe.StripeError) -> JsonObject | None:
    """Find the error that names a failed charge."""
    fault = fault_of(error)
    return fault if isinstance(error, stripe.CardError) and fault.fields.get("charge") else None

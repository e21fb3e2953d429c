"""The payment methods that users save at Stripe."""

from datetime import UTC, datetime

from boxoffice_server.domain.payment_method import MethodNews
from boxoffice_server.ports import SetupAnswer, SetupRequest
from boxoffice_server.vendors.json_object import JsonObject
from boxoffice_server.vendors.stripe import metadata as keys
from boxoffice_server.vendors.stripe.client import Call, StripeConnection
from boxoffice_server.vendors.stripe.news import detached_news, method_news


class StripeMethods:
    """Saves payment methods at Stripe."""

    def __init__(self, connection: StripeConnection) -> None:
        self._stripe = connection

    async def create_setup_intent(self, request: SetupRequest) -> SetupAnswer:
        call = Call(
            name="create_setup_intent",
            about={"stripe_customer_id": request.stripe_customer_id},
            writes=True,
            send=lambda: self._stripe.v1.setup_intents.create_async(
                params={
                    "customer": request.stripe_customer_id,
                    "payment_method_types": [request.method_type.value],
                    "usage": request.reuse.value,
                    "metadata": {keys.USER_ID: request.user_id},
                },
                options={"idempotency_key": request.key},
            ),
        )
        return await self._stripe.ask(call, _setup_answer)

    async def read_setup_intent(self, stripe_setup_intent_id: str) -> SetupAnswer:
        call = Call(
            name="read_setup_intent",
            about={"stripe_setup_intent_id": stripe_setup_intent_id},
            writes=False,
            send=lambda: self._stripe.v1.setup_intents.retrieve_async(stripe_setup_intent_id),
        )
        return await self._stripe.ask(call, _setup_answer)

    async def read_method(self, stripe_payment_method_id: str) -> MethodNews:
        call = Call(
            name="read_method",
            about={"stripe_payment_method_id": stripe_payment_method_id},
            writes=False,
            send=lambda: self._stripe.v1.payment_methods.retrieve_async(stripe_payment_method_id),
        )
        return await self._stripe.ask(call, method_news)

    async def attach_method(
        self, stripe_payment_method_id: str, stripe_customer_id: str, *, key: str
    ) -> MethodNews:
        call = Call(
            name="attach_method",
            about={
                "stripe_payment_method_id": stripe_payment_method_id,
                "stripe_customer_id": stripe_customer_id,
            },
            writes=True,
            send=lambda: self._stripe.v1.payment_methods.attach_async(
                stripe_payment_method_id,
                params={"customer": stripe_customer_id},
                options={"idempotency_key": key},
            ),
        )
        return await self._stripe.ask(call, method_news)

    async def detach_method(
        self, stripe_payment_method_id: str, *, key: str, now: datetime
    ) -> MethodNews:
        call = Call(
            name="detach_method",
            about={"stripe_payment_method_id": stripe_payment_method_id},
            writes=True,
            send=lambda: self._stripe.v1.payment_methods.detach_async(
                stripe_payment_method_id, options={"idempotency_key": key}
            ),
        )
        # The method's own beginning would say that it was never anyone's.
        asked = datetime.fromtimestamp(int(now.timestamp()), UTC)
        return await self._stripe.ask(call, lambda method: detached_news(method, asked))


def _setup_answer(intent: JsonObject) -> SetupAnswer:
    return SetupAnswer(
        stripe_setup_intent_id=intent.identifier("id"),
        client_secret=intent.identifier("client_secret"),
    )

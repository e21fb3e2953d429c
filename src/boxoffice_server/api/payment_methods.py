"""PaymentsService: payment methods that users have saved, and how they are set up."""

import json
from collections.abc import Awaitable, Callable
from typing import Literal, Protocol, TypeVar

from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice_server.api import convert_payments
from boxoffice_server.api.context import Context
from boxoffice_server.api.pages import read_page
from boxoffice_server.api.products import check_etag, mask_violations
from boxoffice_server.api.requests import Faults
from boxoffice_server.api.writes import Writes
from boxoffice_server.domain.errors import BoxofficeError
from boxoffice_server.domain.payment import Reuse
from boxoffice_server.domain.payment_method import (
    PaymentMethod,
    change_tags,
    check_chargeable,
    check_usable,
    method_id,
    method_not_found,
)
from boxoffice_server.domain.payment_rules import check_reusable
from boxoffice_server.domain.text import tag_violations
from boxoffice_server.operations.customers import Customers
from boxoffice_server.operations.methods import SaveJob, SetupJob, hear
from boxoffice_server.ports import (
    Clock,
    MethodFilter,
    MethodGateway,
    Operation,
    Repository,
    Store,
)

R = TypeVar("R")


class NamesMethod(Protocol):
    """A request that may name a payment method by either id."""

    user_id: str
    payment_method_id: str
    stripe_payment_method_id: str

    def WhichOneof(self, oneof_group: Literal["payment_method"], /) -> str | None:
        """Name the id that is set."""
        ...


class _UnknownMethodError(Exception):
    """A method of Stripe's that is not known here yet: it has to be read first."""

    def __init__(self, stripe_payment_method_id: str) -> None:
        super().__init__(stripe_payment_method_id)
        self.stripe_payment_method_id = stripe_payment_method_id


class PaymentMethodMethods:
    """Payment methods over gRPC."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        writes: Writes,
        gateway: MethodGateway,
        customers: Customers,
    ) -> None:
        self._store = store
        self._clock = clock
        self._writes = writes
        self._methods = gateway
        self._customers = customers

    def usable_method(
        self, repo: Repository, request: NamesMethod, user_id: str
    ) -> PaymentMethod | None:
        """Find the saved method that a request names, which must be this user's.

        None if it names none. Raises PAYMENT_METHOD_NOT_FOUND and PAYMENT_METHOD_NOT_REUSABLE, and
        for `with_method` that one has to be read first.
        """
        named = request.payment_method_id or request.stripe_payment_method_id
        if not named:
            return None
        stripe_id = request.stripe_payment_method_id
        known = repo.methods.get(method_id(stripe_id) if stripe_id else named)
        if known is None and stripe_id:
            raise _UnknownMethodError(stripe_id)
        method = check_usable(known, user_id, named)
        check_chargeable(method)
        return method

    async def with_method(self, request: NamesMethod, call: Callable[[], Awaitable[R]]) -> R:
        """Make a call; once more after Stripe was asked for a method that was not known here.

        Only a method that is attached to the user's own customer becomes known by that.
        """
        try:
            return await call()
        except _UnknownMethodError as unknown:
            named = unknown.stripe_payment_method_id
        await self._learn(named, request.user_id)
        try:
            return await call()
        except _UnknownMethodError:
            raise method_not_found(named) from None

    async def _learn(self, named: str, user_id: str) -> None:
        try:
            news = await self._methods.read_method(named)
        except BoxofficeError as error:
            # https://docs.stripe.com/error-codes#resource-missing
            if error.metadata.get("vendor_code") == "resource_missing":
                return
            raise

        def keep(repo: Repository) -> None:
            customer = repo.customers.get(user_id)
            if customer is not None and customer.stripe_customer_id == news.stripe_customer_id:
                hear(repo, news, user_id=user_id, now=self._clock.now())

        if news.stripe_customer_id:
            await self._store.write(keep)

    async def CreateSetupIntent(
        self, request: pb.CreateSetupIntentRequest, context: Context
    ) -> pb.CreateSetupIntentResponse:
        faults = Faults()
        faults.request_id(request.request_id)
        faults.user_id(request.user_id, "user_id")
        faults.refuse()
        method_type = convert_payments.from_payment_method_type(
            request.payment_method_type, "payment_method_type"
        )
        reuse = convert_payments.from_reuse(
            request.setup_payment_method_reuse, "setup_payment_method_reuse"
        )
        reuse = Reuse.OFF_SESSION if reuse is None else reuse
        check_reusable(method_type, reuse)
        key = self._writes.key(request.request_id, "CreateSetupIntent", context)
        jobs: list[SetupJob] = []

        def record(repo: Repository, operation: Operation) -> SetupJob:
            del operation
            jobs.append(SetupJob(customer=self._customers.keep(repo, request.user_id)))
            return jobs[-1]

        def answer(repo: Repository, operation: Operation) -> pb.CreateSetupIntentResponse:
            del repo
            return pb.CreateSetupIntentResponse(
                stripe_setup_intent_id=operation.details["stripe_setup_intent_id"]
            )

        response = await self._writes.through(
            context,
            key,
            request,
            pb.CreateSetupIntentResponse,
            resource_id="",
            details={
                "user_id": request.user_id,
                "method_type": method_type.value,
                "reuse": reuse.value,
            },
            record=record,
            answer=answer,
        )
        response.client_secret = jobs[-1].client_secret if jobs else ""
        if not response.client_secret:
            read = await self._methods.read_setup_intent(response.stripe_setup_intent_id)
            response.client_secret = read.client_secret
        return response

    async def SavePaymentMethod(
        self, request: pb.SavePaymentMethodRequest, context: Context
    ) -> pb.SavePaymentMethodResponse:
        faults = Faults()
        faults.request_id(request.request_id)
        faults.user_id(request.user_id, "user_id")
        faults.stripe_id(request.stripe_payment_method_id, "stripe_payment_method_id")
        faults.extend(tag_violations(request.tags, "tags"))
        faults.refuse()
        named = request.stripe_payment_method_id
        key = self._writes.key(request.request_id, "SavePaymentMethod", context)

        def record(repo: Repository, operation: Operation) -> SaveJob:
            del operation
            known = repo.methods.get(method_id(named))
            if known is not None and known.detach_time is not None:
                raise method_not_found(named)
            customer = self._customers.keep(repo, request.user_id)
            return SaveJob(stripe_payment_method_id=named, customer=customer)

        def answer(repo: Repository, operation: Operation) -> pb.SavePaymentMethodResponse:
            method = repo.methods.get(operation.details["payment_method_id"])
            if method is None:
                raise AssertionError("a payment method that was saved can be read")
            return pb.SavePaymentMethodResponse(payment_method=convert_payments.to_method(method))

        return await self._writes.through(
            context,
            key,
            request,
            pb.SavePaymentMethodResponse,
            resource_id=method_id(named),
            details={
                "user_id": request.user_id,
                "stripe_payment_method_id": named,
                "tags": json.dumps(list(request.tags)),
            },
            record=record,
            answer=answer,
        )

    async def ListPaymentMethods(
        self, request: pb.ListPaymentMethodsRequest, context: Context
    ) -> pb.ListPaymentMethodsResponse:
        del context
        faults = Faults()
        faults.page_size(request.page_size)
        faults.user_id(request.user_id, "user_id")
        faults.optional_tag(request.tag, "tag")
        faults.refuse()
        wanted = MethodFilter(
            user_id=request.user_id, tag=request.tag, detached=request.show_detached
        )
        page = read_page(request, page_size=request.page_size, page_token=request.page_token)
        loaded = await self._store.read(
            lambda repo: repo.methods.find(wanted, before_id=page.before_id, limit=page.fetch)
        )
        methods, next_page_token = page.cut(loaded)
        return pb.ListPaymentMethodsResponse(
            payment_methods=[convert_payments.to_method(each) for each in methods],
            next_page_token=next_page_token,
        )

    async def UpdatePaymentMethod(
        self, request: pb.UpdatePaymentMethodRequest, context: Context
    ) -> pb.UpdatePaymentMethodResponse:
        named = request.payment_method
        faults = Faults()
        faults.request_id(request.request_id)
        faults.id(named.id, "payment_method.id")
        faults.extend(mask_violations(request.update_mask, {"tags"}))
        faults.extend(tag_violations(named.tags, "payment_method.tags"))
        faults.refuse()
        key = self._writes.key(request.request_id, "UpdatePaymentMethod", context)

        def update(repo: Repository) -> pb.UpdatePaymentMethodResponse:
            method = repo.methods.get(named.id, lock=True)
            if method is None:
                raise method_not_found(named.id)
            check_etag(named.etag, method.version)
            changed = change_tags(method, tuple(named.tags), self._clock.now())
            if changed != method:
                repo.methods.update(changed)
            return pb.UpdatePaymentMethodResponse(
                payment_method=convert_payments.to_method(changed)
            )

        return await self._writes.once(key, request, pb.UpdatePaymentMethodResponse, update)

    async def DetachPaymentMethod(
        self, request: pb.DetachPaymentMethodRequest, context: Context
    ) -> pb.DetachPaymentMethodResponse:
        faults = Faults()
        faults.request_id(request.request_id)
        faults.user_id(request.user_id, "user_id")
        match request.WhichOneof("payment_method"):
            case "payment_method_id":
                faults.id(request.payment_method_id, "payment_method_id")
            case "stripe_payment_method_id":
                faults.stripe_id(request.stripe_payment_method_id, "stripe_payment_method_id")
            case None:
                what = "one of payment_method_id, stripe_payment_method_id is needed"
                faults.add("payment_method", what)
        faults.refuse()
        stripe_id = request.stripe_payment_method_id
        named = method_id(stripe_id) if stripe_id else request.payment_method_id
        key = self._writes.key(request.request_id, "DetachPaymentMethod", context)

        def record(repo: Repository, operation: Operation) -> PaymentMethod:
            del operation
            method = repo.methods.get(named)
            if method is None and stripe_id:
                raise _UnknownMethodError(stripe_id)
            if method is None or method.user_id != request.user_id:
                raise method_not_found(stripe_id or named)
            return method

        def answer(repo: Repository, operation: Operation) -> pb.DetachPaymentMethodResponse:
            method = repo.methods.get(operation.resource_id)
            if method is None:
                raise AssertionError(f"payment method {operation.resource_id} is gone")
            return pb.DetachPaymentMethodResponse(payment_method=convert_payments.to_method(method))

        async def detach() -> pb.DetachPaymentMethodResponse:
            return await self._writes.through(
                context,
                key,
                request,
                pb.DetachPaymentMethodResponse,
                resource_id=named,
                record=record,
                answer=answer,
            )

        return await self.with_method(request, detach)

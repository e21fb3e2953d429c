"""Payment methods: set up, saved, learned of, detached."""

import json
from dataclasses import dataclass, replace
from datetime import datetime

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.payment import Customer, PaymentMethodType, Reuse
from boxoffice_server.domain.payment_method import (
    MethodNews,
    PaymentMethod,
    change_tags,
    hear_method,
    method_id,
    method_not_found,
    new_method,
)
from boxoffice_server.operations.customers import Customers
from boxoffice_server.operations.engine import OWN_CALLER, Operations
from boxoffice_server.operations.work import Record
from boxoffice_server.ports import (
    Clock,
    MethodGateway,
    Operation,
    OperationKey,
    Repository,
    SetupAnswer,
    SetupRequest,
)

LEARN_METHOD = "LearnPaymentMethod"


@dataclass(slots=True, kw_only=True)
class SetupJob:
    """A setup intent to be made for a customer.

    `client_secret` is there once the vendor has answered, for whoever asked; it is never kept.
    """

    customer: Customer
    client_secret: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveJob:
    """A method that is to be a customer's, by the vendor's id."""

    stripe_payment_method_id: str
    customer: Customer


class MakeSetupIntent:
    """Has the vendor make a setup intent.

    `details` names `user_id`, `method_type` and `reuse`, and the intent's id once there is one.
    """

    def __init__(
        self, *, operations: Operations, gateway: MethodGateway, customers: Customers
    ) -> None:
        self._operations = operations
        self._gateway = gateway
        self._customers = customers

    def load(self, repo: Repository, operation: Operation) -> SetupJob:
        return SetupJob(customer=self._customers.keep(repo, operation.details["user_id"]))

    async def ask(self, operation: Operation, loaded: SetupJob) -> Record:
        details = operation.details
        customer_id = await self._customers.stripe_id(loaded.customer, operation)
        answer: SetupAnswer = await self._operations.once(
            operation,
            # One that nobody was told of can't be used by anyone, so a second does no harm.
            find=_nowhere,
            send=lambda key: self._gateway.create_setup_intent(
                SetupRequest(
                    user_id=loaded.customer.user_id,
                    stripe_customer_id=customer_id,
                    method_type=PaymentMethodType(details["method_type"]),
                    reuse=Reuse(details["reuse"]),
                    key=key,
                )
            ),
            never_expires=True,
        )
        loaded.client_secret = answer.client_secret

        def record(repo: Repository, operation: Operation) -> Operation:
            del repo
            return with_details(operation, stripe_setup_intent_id=answer.stripe_setup_intent_id)

        return record

    def refuse(self, repo: Repository, operation: Operation, error: BoxofficeError) -> Operation:
        """Nothing was made."""
        del repo, error
        return operation


class SaveMethod:
    """Attaches a method to its user's customer, unless it is attached, and keeps it.

    `details` names `user_id`, `stripe_payment_method_id` and, as JSON, the `tags` it is given; and
    our `payment_method_id` once it is saved. Stripe's test methods become others when they are
    attached (https://docs.stripe.com/testing), so that one does not follow from the request.
    """

    def __init__(
        self,
        *,
        operations: Operations,
        gateway: MethodGateway,
        customers: Customers,
        clock: Clock,
    ) -> None:
        self._operations = operations
        self._gateway = gateway
        self._customers = customers
        self._clock = clock

    def load(self, repo: Repository, operation: Operation) -> SaveJob:
        return SaveJob(
            stripe_payment_method_id=operation.details["stripe_payment_method_id"],
            customer=self._customers.keep(repo, operation.details["user_id"]),
        )

    async def ask(self, operation: Operation, loaded: SaveJob) -> Record:
        customer_id = await self._customers.stripe_id(loaded.customer, operation)
        named = loaded.stripe_payment_method_id
        news = await self._read(named)
        if not news.stripe_customer_id:
            news = await self._operations.once(
                operation,
                # It was just read, and is nobody's.
                find=_nowhere,
                send=lambda key: self._gateway.attach_method(named, customer_id, key=key),
            )
        if news.stripe_customer_id != customer_id:
            raise method_not_found(named)

        def record(repo: Repository, operation: Operation) -> Operation:
            user_id, now = loaded.customer.user_id, self._clock.now()
            method = hear(repo, news, user_id=user_id, now=now)
            if method is None:
                raise AssertionError("a method that was read has its details")
            tags = tuple(json.loads(operation.details["tags"]))
            tagged = change_tags(method, tags, now) if tags else method
            if tagged != method:
                repo.methods.update(tagged)
            return with_details(operation, payment_method_id=method.id)

        return record

    async def _read(self, stripe_payment_method_id: str) -> MethodNews:
        try:
            return await self._gateway.read_method(stripe_payment_method_id)
        except BoxofficeError as error:
            # https://docs.stripe.com/error-codes#resource-missing
            if error.metadata.get("vendor_code") != "resource_missing":
                raise
            raise method_not_found(stripe_payment_method_id) from error

    def refuse(self, repo: Repository, operation: Operation, error: BoxofficeError) -> Operation:
        """Nothing was saved."""
        del repo, error
        return operation


class LearnMethod:
    """Reads a method that a notification has named, and keeps it if it is a user's of ours.

    `details` names it as `stripe_payment_method_id`.
    """

    def __init__(self, *, gateway: MethodGateway, clock: Clock) -> None:
        self._gateway = gateway
        self._clock = clock

    def load(self, repo: Repository, operation: Operation) -> None:
        """There is nothing to read."""

    async def ask(self, operation: Operation, loaded: None) -> Record:
        del loaded
        news = await self._gateway.read_method(operation.details["stripe_payment_method_id"])

        def record(repo: Repository, operation: Operation) -> Operation:
            owner = repo.customers.by_stripe_id(news.stripe_customer_id)
            if owner is not None:
                hear(repo, news, user_id=owner.user_id, now=self._clock.now())
            return operation

        return record

    def refuse(self, repo: Repository, operation: Operation, error: BoxofficeError) -> Operation:
        """The vendor does not have it any more."""
        del repo, error
        return operation


class DetachMethod:
    """Detaches a method from its customer, for good."""

    def __init__(self, *, operations: Operations, gateway: MethodGateway, clock: Clock) -> None:
        self._operations = operations
        self._gateway = gateway
        self._clock = clock

    def load(self, repo: Repository, operation: Operation) -> PaymentMethod:
        method = repo.methods.get(operation.resource_id)
        if method is None:
            raise AssertionError(f"payment method {operation.resource_id} is gone")
        return method

    async def ask(self, operation: Operation, loaded: PaymentMethod) -> Record:
        if loaded.detach_time is not None:
            return lambda _, operation: operation
        named = loaded.stripe_payment_method_id
        news = await self._operations.once(
            operation,
            find=lambda: self._detached(named),
            send=lambda key: self._detach(named, key),
        )

        def record(repo: Repository, operation: Operation) -> Operation:
            hear(repo, news, user_id=loaded.user_id, now=self._clock.now())
            return operation

        return record

    async def _detach(self, stripe_payment_method_id: str, key: str) -> MethodNews:
        """Detach a method; one that was detached elsewhere, unheard, is so already."""
        now = self._clock.now()
        try:
            return await self._gateway.detach_method(stripe_payment_method_id, now=now, key=key)
        except BoxofficeError as error:
            if error.reason is not Reason.VENDOR_REFUSED:
                raise
            found = await self._detached(stripe_payment_method_id)
            if found is None:
                raise
            return found

    async def _detached(self, stripe_payment_method_id: str) -> MethodNews | None:
        """Read whether a method that was attached is so no more."""
        news = await self._gateway.read_method(stripe_payment_method_id)
        return None if news.stripe_customer_id else as_detached(news, self._clock.now())

    def refuse(self, repo: Repository, operation: Operation, error: BoxofficeError) -> Operation:
        """The method is as it was."""
        del repo, error
        return operation


def hear(
    repo: Repository, news: MethodNews, *, user_id: str, now: datetime
) -> PaymentMethod | None:
    """Take in what the vendor says about a user's method.

    None where it only names one that is not known here: it has to be read first.
    """
    known = repo.methods.get(method_id(news.stripe_payment_method_id), lock=True)
    if known is None:
        if news.details is None:
            return None
        made = new_method(news, news.details, user_id=user_id, now=now)
        if repo.methods.insert(made):
            return made
        known = repo.methods.get(made.id, lock=True)
    if known is None:
        raise AssertionError("a payment method that is there can be read")
    heard = hear_method(known, news, now)
    if heard != known:
        repo.methods.update(heard)
    return heard


def learn_operation(news: MethodNews, *, id_: str, now: datetime) -> Operation:
    """Make the operation that reads a method, once."""
    named = news.stripe_payment_method_id
    return Operation(
        id=id_,
        key=OperationKey(caller=OWN_CALLER, operation=LEARN_METHOD, request_id=named),
        fingerprint=b"",
        resource_id=method_id(named),
        details={"stripe_payment_method_id": named},
        answer=None,
        create_time=now,
    )


def as_detached(news: MethodNews, time: datetime) -> MethodNews:
    """Say that a method was detached at a time, at the latest."""
    return replace(news, stripe_customer_id="", event_time=time, detached=True)


def with_details(operation: Operation, **learned: str) -> Operation:
    """Keep what an operation has learned with it."""
    return replace(operation, details={**operation.details, **learned})


async def _nowhere() -> None:
    """There is nothing to find."""

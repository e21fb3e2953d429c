"""Asking the App Store: its Server API, of which nothing is believed that is not signed.

https://developer.apple.com/documentation/appstoreserverapi
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.facts import FactKind, SubscriptionFact
from boxoffice_server.domain.notification import VerifiedNotification
from boxoffice_server.domain.subscription import LineageKey
from boxoffice_server.vendors.app_store.answers import (
    Credentials,
    Page,
    Status,
    no_key,
    not_found,
    unavailable,
)
from boxoffice_server.vendors.app_store.facts import Signed, transaction_fact
from boxoffice_server.vendors.app_store.notifications import AppStoreNotificationSource
from boxoffice_server.vendors.app_store.online import in_thread
from boxoffice_server.vendors.app_store.payload import ENVIRONMENTS
from boxoffice_server.vendors.app_store.recipients import PRODUCTION, Recipient, body_of
from boxoffice_server.vendors.app_store.verification import AppStoreVerification
from boxoffice_server.vendors.json_object import JsonObject, MalformedObjectError

if TYPE_CHECKING:
    from boxoffice_server.vendors.app_store.connection import Connection

T = TypeVar("T")

# How long Apple keeps notifications, less the time for which its clock may be ahead of ours: a time
# before that is refused
# (https://developer.apple.com/documentation/appstoreserverapi/get-notification-history).
_KEPT: Final = {PRODUCTION: timedelta(days=180)}
_KEPT_IN_SANDBOX: Final = timedelta(days=30)
_AHEAD: Final = timedelta(hours=1)

# Far below what Apple allows in an hour, and enough for whoever waits.
_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to go on asking the App Store about one thing.

    One request is given up after `request`, and a whole call, repeats and pauses included, after
    `call`. There are as many repeats as `pauses`; each is cut by a random part of up to a half.
    """

    request: timedelta = timedelta(seconds=10)
    call: timedelta = timedelta(seconds=20)
    pauses: tuple[timedelta, ...] = (timedelta(seconds=0.5), timedelta(seconds=1))


class AppStoreClient:
    """Asks about the subscriptions of our apps.

    Errors of all methods: SOURCE_NOT_CONFIGURED where there is no key; VENDOR_UNAVAILABLE where the
    App Store has no answer now, or none that its signature vouches for; TRANSACTION_NOT_FOUND;
    VENDOR_REFUSED for everything else. Each may be asked again.
    """

    def __init__(
        self,
        *,
        verification: AppStoreVerification,
        credentials: Credentials | None,
        base: str = "",
        patience: Patience | None = None,
    ) -> None:
        self._verification = verification
        self._source = AppStoreNotificationSource(verification)
        self._credentials = credentials
        self._base = base
        self._patience = patience or Patience()
        self._connections: dict[Recipient, Connection] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._log = structlog.get_logger(part="app-store")

    async def statuses(self, lineage: LineageKey, *, now: datetime) -> list[SubscriptionFact]:
        """Read how all subscriptions of a lineage's customer stand now."""
        who = self._recipient(lineage)
        read = await self._ask(who, "statuses", lambda each: each.statuses(lineage.lineage))
        facts = [await self._status_fact(who, each, now) for each in read]
        return [fact for fact in facts if fact is not None]

    async def history(
        self, lineage: LineageKey, *, now: datetime
    ) -> AsyncGenerator[list[SubscriptionFact]]:
        """Read every period of a lineage's customer, page by page, oldest first."""
        who, after = self._recipient(lineage), None
        while True:
            page = await self._ask(who, "history", _history_page(lineage.lineage, after))
            facts = [await self._fact(who, signed, now) for signed in page.signed]
            yield [fact for fact in facts if fact is not None]
            after = page.after
            if after is None:
                return

    async def transaction(self, transaction_id: str, *, now: datetime) -> SubscriptionFact | None:
        """Read a transaction, wherever it was made; None where it is no subscription's.

        Apple's servers don't know each other's, so all are asked in turn.
        """
        for who in self._verification.recipients.all:
            try:
                signed = await self._ask(
                    who, "transaction", lambda each: each.transaction(transaction_id)
                )
            except BoxofficeError as error:
                if error.reason is not Reason.TRANSACTION_NOT_FOUND:
                    raise
            else:
                return await self._fact(who, signed, now)
        raise not_found()

    async def notifications(
        self, since: datetime, until: datetime, *, now: datetime, only_failures: bool = False
    ) -> AsyncGenerator[list[VerifiedNotification]]:
        """Read the notifications of all our apps that were sent between two times, page by page.

        They are as they were when they were sent. Apple keeps 180 days of Production, and 30 of
        the sandbox: what is older can't be read any more. With `only_failures`, those alone that
        did not reach us.
        """
        for who in self._verification.recipients.all:
            kept_since = now - _KEPT.get(who.environment, _KEPT_IN_SANDBOX) + _AHEAD
            if until <= kept_since:
                continue
            begin = max(since, kept_since)
            after: str | None = None
            while True:
                page = await self._ask(
                    who,
                    "notifications",
                    _notification_page(begin, until, only_failures=only_failures, after=after),
                )
                yield [await self._notification(signed, now) for signed in page.signed]
                after = page.after
                if after is None:
                    break

    async def request_test(self, lineage_app: str, environment: str) -> str:
        """Have a test notification sent to us; answers the token under which Apple tells of it."""
        who = self._verification.recipients.find(lineage_app, environment)
        if who is None:
            raise not_found()
        return await self._ask(who, "request test", lambda each: each.request_test())

    def _recipient(self, lineage: LineageKey) -> Recipient:
        names = [name for name, ours in ENVIRONMENTS.items() if ours is lineage.environment]
        found = self._verification.recipients.find(lineage.app, names[0])
        if found is None:
            raise not_found()
        return found

    async def _status_fact(
        self, who: Recipient, status: Status, now: datetime
    ) -> SubscriptionFact | None:
        transaction = await self._verified(who, status.transaction, now)
        renewal = None
        if status.renewal:
            renewal = await self._vouched(self._verification.renewal(status.renewal, now=now))
        return _read_fact(
            Signed(
                transaction=transaction.fields,
                renewal=None if renewal is None else renewal.fields,
                status=status.number,
            ),
            now,
        )

    async def _fact(self, who: Recipient, signed: str, now: datetime) -> SubscriptionFact | None:
        told = await self._verified(who, signed, now)
        return _read_fact(Signed(transaction=told.fields), now)

    async def _verified(self, who: Recipient, signed: str, now: datetime) -> JsonObject:
        told = await self._vouched(self._verification.transaction(signed, now=now))
        place = (told.fields.get("bundleId"), told.fields.get("environment"))
        if place != (who.app.bundle_id, who.environment):
            raise unavailable("the App Store has answered for another app")
        return told

    async def _notification(self, signed: str, now: datetime) -> VerifiedNotification:
        return await self._vouched(self._source.verify_history(body_of(signed), now=now))

    async def _vouched(self, verifying: Awaitable[T]) -> T:
        """Await what is verified. An answer that Apple did not sign is no answer."""
        try:
            return await verifying
        except BoxofficeError as error:
            self._log.error("the App Store's answer is not signed as it must be", why=error.message)
            raise unavailable("the App Store's answer is not signed as it must be") from error

    async def _ask(self, who: Recipient, name: str, ask: "Callable[[Connection], T]") -> T:
        """Ask until there is an answer, or patience ends."""
        log = self._log.bind(call=name, app=who.app.bundle_id, environment=who.environment)
        try:
            async with asyncio.timeout(self._patience.call.total_seconds()):
                told = await self._asked(who, ask)
        except TimeoutError as error:
            log.warning("the App Store did not answer in time")
            raise unavailable("the App Store did not answer in time") from error
        except BoxofficeError as error:
            log.warning("the App Store has no answer", reason=error.reason, **error.metadata)
            raise
        log.info("the App Store answered")
        return told

    async def _asked(self, who: Recipient, ask: "Callable[[Connection], T]") -> T:
        for pause in self._patience.pauses:
            try:
                return await self._once(who, ask)
            except BoxofficeError as error:
                if error.reason is not Reason.VENDOR_UNAVAILABLE:
                    raise
            part = random.uniform(0.5, 1)  # noqa: S311 -- spreads load, guards nothing
            await asyncio.sleep(pause.total_seconds() * part)
        return await self._once(who, ask)

    async def _once(self, who: Recipient, ask: "Callable[[Connection], T]") -> T:
        async with self._turns:
            return await in_thread(lambda: ask(self._connection(who)))

    def _connection(self, who: Recipient) -> "Connection":
        from boxoffice_server.vendors.app_store.connection import Connection  # noqa: PLC0415

        if self._credentials is None:
            raise no_key()
        connection = self._connections.get(who)
        if connection is None:
            connection = self._connections[who] = Connection(
                self._credentials, who, base=self._base, patience=self._patience.request
            )
        return connection


def _history_page(transaction_id: str, after: str | None) -> "Callable[[Connection], Page]":
    return lambda each: each.history(transaction_id, after)


def _notification_page(
    since: datetime, until: datetime, *, only_failures: bool, after: str | None
) -> "Callable[[Connection], Page]":
    return lambda each: each.notifications(since, until, only_failures=only_failures, after=after)


def _read_fact(signed: Signed, now: datetime) -> SubscriptionFact | None:
    try:
        return transaction_fact(signed, kind=FactKind.READ, record_time=now)
    except MalformedObjectError as error:
        raise unavailable("the App Store's answer can't be read") from error

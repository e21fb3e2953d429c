"""The composition root: the only module that names concrete classes."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector

from boxoffice_server import janitor
from boxoffice_server.api.calls import CallMetrics, Calls
from boxoffice_server.api.context import Context
from boxoffice_server.api.entitlements import EntitlementsServicer
from boxoffice_server.api.events import encode_event
from boxoffice_server.api.orders import OrdersServicer
from boxoffice_server.api.payments import PaymentsServicer
from boxoffice_server.api.server import GrpcServer
from boxoffice_server.api.webhooks import WebhooksServicer
from boxoffice_server.api.writes import Writes, encode_error
from boxoffice_server.catch_up import CatchUp
from boxoffice_server.clock import BusinessClock
from boxoffice_server.console.routes import Console
from boxoffice_server.domain.notification import Source
from boxoffice_server.domain.stream import LogRecord, RecordKind
from boxoffice_server.domain.subscription import Environment, SubscriptionSource
from boxoffice_server.domain.task import LeasePolicy
from boxoffice_server.housekeeping import Housekeeping
from boxoffice_server.http import HttpPort
from boxoffice_server.intake import Intake
from boxoffice_server.janitor import Janitor
from boxoffice_server.operations import engine
from boxoffice_server.operations.all_works import all_works
from boxoffice_server.operations.customers import Customers
from boxoffice_server.operations.engine import Operations
from boxoffice_server.ports import (
    NotificationSource,
    Store,
    SubscriptionReader,
    SubscriptionVendor,
)
from boxoffice_server.reconciliation import Reconciliation
from boxoffice_server.sandbox_clock import SandboxClock
from boxoffice_server.settings import Address, Settings
from boxoffice_server.settlement import Settlement
from boxoffice_server.storage import create_store
from boxoffice_server.streaming.feed import Feed
from boxoffice_server.subscriptions.engine import Subscriptions
from boxoffice_server.subscriptions.granting import Granting, ManualVendor
from boxoffice_server.subscriptions.linking import Linking
from boxoffice_server.subscriptions.rebuilding import Rebuilding
from boxoffice_server.subscriptions.reconciling import Reconciling
from boxoffice_server.subscriptions.sweeper import Sweeper
from boxoffice_server.vendors.app_store.absent import NoAppStore
from boxoffice_server.vendors.app_store.app_store import AppStore
from boxoffice_server.vendors.app_store.reader import AppStoreReader
from boxoffice_server.vendors.stripe.books import StripeBooks
from boxoffice_server.vendors.stripe.client import Patience, StripeConnection
from boxoffice_server.vendors.stripe.gateway import StripeGateway
from boxoffice_server.vendors.stripe.methods import StripeMethods
from boxoffice_server.vendors.stripe.notifications import StripeNotificationSource

DEVELOPMENT_CALLER = "development"
# Who has the duties of a service that is alone on its store.
ALONE = "alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """Where the service listens."""

    grpc: Address
    http: Address


class StartError(Exception):
    """The service can't start as it is told to; the message says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """How long things take before something else is done about them; tests have less time."""

    leases: LeasePolicy = field(default_factory=LeasePolicy)
    operation_lease: timedelta = engine.LEASE
    operation_pause: timedelta = engine.FIRST_PAUSE
    look_every: timedelta = janitor.LOOK_EVERY
    sweep_every: timedelta = janitor.SWEEP_EVERY
    patience: Patience = field(default_factory=Patience)


class Application:
    """One service process: everything wired together, started and drained in order."""

    def __init__(self, settings: Settings, *, timings: Timings | None = None) -> None:
        timings = timings or Timings()
        self._settings = settings
        self._draining = asyncio.Event()
        self._grace_end = 0.0
        self._opened = AsyncExitStack()
        self._clock = clock = BusinessClock()
        self._store = store = create_store(settings.database_url, encode=encode_event)
        self._feed = Feed(store=store, clock=clock)
        if settings.uses_sandbox_key:
            self._feed.listen(self._follow_clock)
        self._housekeeping = Housekeeping(store=store, clock=clock)
        self._stripe = StripeConnection(
            api_key=settings.stripe_api_key.reveal(),
            api_base=settings.stripe_api_base,
            patience=timings.patience,
        )
        gateway, saved = StripeGateway(self._stripe), StripeMethods(self._stripe)
        settlement = Settlement(clock=clock, authentication_limit=settings.authentication_limit)
        customers = Customers(store=store, clock=clock, gateway=gateway)
        instance = str(uuid.uuid4())
        # On a file there is never a second process: it takes over duties from one that was killed.
        owner = ALONE if settings.is_embedded else instance
        self._operations = operations = Operations(
            store=store,
            clock=clock,
            instance=instance,
            is_alone=settings.is_embedded,
            encode_error=encode_error,
            lease=timings.operation_lease,
            first_pause=timings.operation_pause,
        )
        operations.know(
            all_works(
                operations=operations,
                settlement=settlement,
                gateway=gateway,
                saved=saved,
                customers=customers,
                clock=clock,
            )
        )
        self._app_store = app_store = AppStore(settings.app_store) if settings.app_store else None
        source = StripeNotificationSource(
            secrets=[secret.reveal() for secret in settings.stripe_webhook_secrets],
            livemode=settings.livemode,
            sandbox=settings.uses_sandbox_key,
        )
        subscriptions = Subscriptions(
            clock=clock,
            readers=_subscription_readers(),
        )
        intake = Intake(
            store=store,
            clock=clock,
            sources=_sources(source, app_store),
            settlement=settlement,
            operations=operations,
            subscriptions=subscriptions,
        )
        books = StripeBooks(self._stripe)
        self._janitor = Janitor(
            store=store,
            clock=clock,
            operations=operations,
            intake=intake,
            books=books,
            look_every=timings.look_every,
            sweep_every=timings.sweep_every,
        )
        self._sweeper = Sweeper(
            store=store,
            clock=clock,
            subscriptions=subscriptions,
            vendors=_subscription_vendors(app_store),
            owner=owner,
            look_every=timings.look_every,
        )
        self._catch_up = CatchUp(
            store=store,
            clock=clock,
            intake=intake,
            # Without a key Apple's history can't be read.
            vendors={Source.APP_STORE: app_store.client}
            if app_store and settings.app_store and settings.app_store.key
            else {},
            owner=owner,
        )
        writes = Writes(
            store=store, clock=clock, operations=operations, identify=development_caller
        )
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        head = Gauge("boxoffice_log_head", "The newest position told to streams", registry=registry)
        head.set_function(lambda: self._feed.head)
        self._grpc = GrpcServer(
            calls=Calls(CallMetrics(registry)),
            entitlements=EntitlementsServicer(
                store=store,
                clock=clock,
                writes=writes,
                feed=self._feed,
                environment=_environment(settings),
                subscriptions=subscriptions,
                linking=Linking(clock=clock, subscriptions=subscriptions),
                granting=Granting(clock=clock, subscriptions=subscriptions),
                purchases=app_store.purchases if app_store else NoAppStore(),
                reconciling=Reconciling(
                    clock=clock,
                    subscriptions=subscriptions,
                    vendors=_subscription_vendors(app_store),
                ),
            ),
            orders=OrdersServicer(
                store=store,
                clock=clock,
                writes=writes,
                feed=self._feed,
                follow=self._feed.follow,
                draining=self._draining,
                leases=timings.leases,
                settlement=settlement,
            ),
            payments=PaymentsServicer(
                store=store,
                clock=clock,
                writes=writes,
                gateway=gateway,
                methods=saved,
                customers=customers,
                feed=self._feed,
                settlement=settlement,
                reconciliation=Reconciliation(
                    store=store,
                    clock=clock,
                    books=books,
                    intake=intake,
                    settlement=settlement,
                ),
            ),
            webhooks=WebhooksServicer(store=store, writes=writes, intake=intake),
        )
        self._http = HttpPort(
            address=settings.http_address,
            intake=intake,
            registry=registry,
            is_serving=lambda: not self._draining.is_set(),
            more=[
                *_sandbox_routes(settings, store, clock, self._clock_moved),
                *Console(store=store, clock=clock).routes(settings.http_address),
            ],
        )

    @property
    def operations(self) -> frozenset[str]:
        """Name all that is asked of a vendor: by its RPC, or as the service's own."""
        return self._operations.names

    async def start(self) -> Doors:
        """Open the store, take the ports and serve. A start that fails leaves nothing open."""
        async with AsyncExitStack() as opened:
            await self._store.open()
            opened.push_async_callback(self._store.close)
            opened.push_async_callback(self._stripe.close)
            if self._app_store is not None:
                opened.push_async_callback(self._app_store.close)
            self._housekeeping.start()
            opened.push_async_callback(self._housekeeping.stop)
            await self._feed.start()
            opened.push_async_callback(self._feed.stop)
            # Read once the feed tells of every change, so that none falls in between.
            self._clock.set_offset(await self._store.read(lambda repo: repo.log.clock_offset()))
            opened.push_async_callback(self._close_operations)
            self._janitor.start()
            opened.push_async_callback(self._janitor.stop)
            self._sweeper.start()
            opened.push_async_callback(self._sweeper.stop)
            self._catch_up.start()
            opened.push_async_callback(self._catch_up.stop)
            doors = await self._take_ports(opened)
            await self._grpc.start()
            if self._app_store is not None:
                self._app_store.start()
            self._opened = opened.pop_all()
        return doors

    async def _take_ports(self, opened: AsyncExitStack) -> Doors:
        wanted = self._settings.grpc_address
        try:
            port = self._grpc.listen(str(wanted))
        except RuntimeError as error:
            raise StartError(f"BOXOFFICE_GRPC_ADDRESS {wanted} can't be listened on") from error
        # Webhooks are taken, and health is told over HTTP, until the last call has ended.
        opened.push_async_callback(self._http.stop)
        opened.push_async_callback(self._grpc.drain, self._settings.drain_grace.total_seconds())
        try:
            http = await self._http.start()
        except OSError as error:
            raise StartError(
                f"BOXOFFICE_HTTP_ADDRESS {self._settings.http_address} can't be listened on: "
                f"{error.strerror}"
            ) from error
        return Doors(grpc=Address(host=wanted.host, port=port), http=http)

    async def stop(self) -> None:
        """Drain: streams are told to go, calls in flight finish, then everything is let go of."""
        grace = self._settings.drain_grace.total_seconds()
        self._grace_end = asyncio.get_running_loop().time() + grace
        self._draining.set()
        self._feed.drain()
        await self._opened.aclose()

    async def _close_operations(self) -> None:
        try:
            async with asyncio.timeout_at(self._grace_end):
                await self._operations.close()
        except TimeoutError:
            # Stripe is silent and the grace is over. Whoever asked asks again, under the same key.
            pass

    def _clock_moved(self) -> None:
        self._sweeper.stir()
        self._catch_up.stir()

    def _follow_clock(self, records: Sequence[LogRecord]) -> None:
        """Follow the offset of business time, whichever instance was told of it."""
        for record in records:
            if record.kind is RecordKind.CLOCK:
                self._clock.set_offset(int(record.payload))
                self._clock_moved()


@asynccontextmanager
async def open_rebuilding(settings: Settings) -> AsyncIterator[Rebuilding]:
    """Open the store to rebuild what follows from its facts, and close it in the end."""
    clock = BusinessClock()
    store = create_store(settings.database_url, encode=encode_event)
    await store.open()
    try:
        clock.set_offset(await store.read(lambda repo: repo.log.clock_offset()))
        subscriptions = Subscriptions(clock=clock, readers=_subscription_readers())
        yield Rebuilding(store=store, clock=clock, subscriptions=subscriptions)
    finally:
        await store.close()


def _subscription_readers() -> dict[SubscriptionSource, SubscriptionReader]:
    return {
        SubscriptionSource.APP_STORE: AppStoreReader(),
        SubscriptionSource.MANUAL: ManualVendor(),
    }


def _sources(
    stripe: StripeNotificationSource, app_store: AppStore | None
) -> dict[Source, NotificationSource]:
    sources: dict[Source, NotificationSource] = {Source.STRIPE: stripe}
    if app_store is not None:
        sources[Source.APP_STORE] = app_store.notifications
    return sources


def _subscription_vendors(
    app_store: AppStore | None,
) -> dict[SubscriptionSource, SubscriptionVendor]:
    return {} if app_store is None else {SubscriptionSource.APP_STORE: app_store.client}


def _environment(settings: Settings) -> Environment:
    """Tell the service's own environment: the App Store's first, else that of the Stripe key."""
    if settings.app_store is not None:
        return Environment(settings.app_store.environments[0].lower())
    return Environment.PRODUCTION if settings.livemode else Environment.SANDBOX


def _sandbox_routes(
    settings: Settings, store: Store, clock: BusinessClock, moved: Callable[[], None]
) -> list[web.RouteDef]:
    if not settings.uses_sandbox_key:
        return []
    key = settings.stripe_api_key.reveal()
    return SandboxClock(store=store, clock=clock, key=key, moved=moved).routes()


def development_caller(context: Context) -> str:
    """Name the one caller there is on loopback without TLS."""
    del context
    return DEVELOPMENT_CALLER

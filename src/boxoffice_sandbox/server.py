"""Puts the sandbox together and runs it."""

import asyncio
import os
import secrets
import signal
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from boxoffice_sandbox.accounts import DEFAULT_WEBHOOK_SECRET, Accounts
from boxoffice_sandbox.api import StripeApi
from boxoffice_sandbox.app_store.control import AppStoreControl
from boxoffice_sandbox.app_store.control_notifications import NotificationControl
from boxoffice_sandbox.app_store.server import AppStore, AppStoreOptions
from boxoffice_sandbox.clock import Clock
from boxoffice_sandbox.control import Control
from boxoffice_sandbox.control_objects import ObjectControl
from boxoffice_sandbox.faults import Faults
from boxoffice_sandbox.pages import Pages
from boxoffice_sandbox.passage import Passage
from boxoffice_sandbox.scopes import Scopes
from boxoffice_sandbox.store import Store
from boxoffice_sandbox.stripe.resources import ENDPOINTS
from boxoffice_sandbox.stripe.routing import Router
from boxoffice_sandbox.webhooks import WebhookSender

_LARGEST_BODY = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a sandbox is started with.

    `seed` and `frozen_time` make the same script give the same bytes; a sandbox without a seed
    makes one up and keeps it in its file. An empty `webhook_url` means that nothing is sent.
    """

    database: Path
    host: str = "127.0.0.1"
    port: int = 12111
    webhook_url: str = "http://127.0.0.1:8080/webhooks/stripe"
    webhook_secret: str = DEFAULT_WEBHOOK_SECRET
    seed: str | None = None
    frozen_time: int | None = None
    app_store: AppStoreOptions = field(default_factory=AppStoreOptions)


@asynccontextmanager
async def running(options: Options) -> AsyncIterator[str]:
    """Run a sandbox; yields its `host:port` once it listens."""
    store = Store(options.database)
    try:
        clock = Clock(
            offset_seconds=int(store.setting("clock_offset") or 0), frozen=options.frozen_time
        )
        seed = _seed(store, options.seed)
        accounts = Accounts(
            store,
            seed=seed,
            webhook_url=options.webhook_url,
            webhook_secret=options.webhook_secret,
        )
        sender = WebhookSender(store, accounts, clock)
        # Bound before anything is made: what the App Store signs says where the sandbox listens.
        listening = _bound(options.host, options.port)
        address = "{}:{}".format(*listening.getsockname()[:2])
        faults = Faults(store)
        app_store = AppStore(
            options.app_store,
            store=store,
            clock=clock,
            faults=faults,
            seed=seed,
            address=_to_call(listening),
        )
        scopes = Scopes(store=store, accounts=accounts, clock=clock, sender=sender)
        app = _app(scopes, faults, app_store)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.SockSite(runner, listening).start()
            await sender.start()
            await app_store.start()
            try:
                yield address
            finally:
                await app_store.close()
                await sender.close()
        finally:
            await runner.cleanup()
    finally:
        store.close()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


def _to_call(listening: socket.socket) -> str:
    """Return where this machine reaches the sandbox: on loopback if it listens everywhere."""
    host, port = listening.getsockname()[:2]
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  (recognised)
    return f"[{local}]:{port}" if ":" in local else f"{local}:{port}"


def _seed(store: Store, given: str | None) -> str:
    seed = given or store.setting("seed") or secrets.token_hex(16)
    store.set_setting("seed", seed)
    return seed


def _app(scopes: Scopes, faults: Faults, app_store: AppStore) -> web.Application:
    api = StripeApi(
        store=scopes.store,
        accounts=scopes.accounts,
        clock=scopes.clock,
        faults=faults,
        router=Router(ENDPOINTS),
        sender=scopes.sender,
    )
    app = web.Application(client_max_size=_LARGEST_BODY)
    app.add_routes([web.route("*", "/stripe/{path:.*}", api.handle)])
    passage = Passage(scopes=scopes, app_store=app_store)
    app.add_routes(Control(scopes=scopes, faults=faults, passage=passage).routes())
    app.add_routes(ObjectControl(scopes=scopes).routes())
    app.add_routes(Pages(scopes=scopes, records=app_store.shop.records).routes())
    app.add_routes(app_store.routes())
    app.add_routes(AppStoreControl(shop=app_store.shop, passage=passage).routes())
    app.add_routes(NotificationControl(shop=app_store.shop, deliverer=app_store.deliverer).routes())
    return app


async def serve(options: Options, *, watch_stdin: bool = False) -> None:
    """Run until SIGTERM or SIGINT, or until standard input ends if that is watched.

    Says on standard output when it is ready.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if watch_stdin:
        # A thread of its own: standard input may be a file, which the loop can't watch.
        threading.Thread(target=_until_stdin_ends, args=(loop, stop), daemon=True).start()
    async with running(options) as address:
        print(f"sandbox {address} READY", flush=True)  # noqa: T201  (the line callers wait for)
        await stop.wait()


def _until_stdin_ends(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    while os.read(0, 4096):
        pass
    loop.call_soon_threadsafe(stop.set)

"""Puts the App Store together."""

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from boxoffice_sandbox.app_store import ocsp, trust
from boxoffice_sandbox.app_store.api import ServerApi
from boxoffice_sandbox.app_store.auth import ApiKey
from boxoffice_sandbox.app_store.delivery import Deliverer
from boxoffice_sandbox.app_store.faulty import PREFIX, faulty
from boxoffice_sandbox.app_store.records import Records
from boxoffice_sandbox.app_store.service_clock import ServiceClock
from boxoffice_sandbox.app_store.settings import AppStoreSettings
from boxoffice_sandbox.app_store.shop import Shop
from boxoffice_sandbox.clock import Clock
from boxoffice_sandbox.faults import Faults
from boxoffice_sandbox.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class AppStoreOptions:
    """What the App Store of a sandbox is started with.

    `root_file` and `key_file` are where the root certificate and the private key of the Server
    API are written when the sandbox starts.
    """

    root_file: Path | None = None
    key_file: Path | None = None
    settings: AppStoreSettings = field(default_factory=AppStoreSettings)


class AppStore:
    """Everything under `/app-store`."""

    def __init__(
        self,
        options: AppStoreOptions,
        *,
        store: Store,
        clock: Clock,
        faults: Faults,
        seed: str,
        address: str,
    ) -> None:
        """Take the parts that it shares with the rest, and `host:port` of the sandbox."""
        self._faults = faults
        self._trust = trust.load(store, ocsp_url=f"http://{address}{PREFIX}/ocsp")
        key = ApiKey(store)
        records = Records(store, seed=seed)
        self.shop = Shop(records, trust=self._trust, clock=clock, defaults=options.settings)
        self._service_clock = ServiceClock(self.shop, offset_seconds=clock.offset_seconds)
        self.deliverer = Deliverer(self.shop, clock, self._service_clock)
        self._api = ServerApi(self.shop, key, faults)
        _write_files(options, self._trust, key)

    def routes(self) -> list[web.RouteDef]:
        """Return what Apple serves."""
        asks = faulty(self._faults, self._answer_ocsp, now=self.shop.now)
        return [
            web.get(f"{PREFIX}/root.cer", self._serve_root),
            web.post(f"{PREFIX}/ocsp", asks),
            *self._api.routes(),
        ]

    async def start(self) -> None:
        """Begin to send."""
        await self.deliverer.start()

    async def close(self) -> None:
        """Stop sending."""
        await self.deliverer.close()

    async def tell_time(self, offset_seconds: int) -> str | None:
        """Move the service's clock; return what went wrong, if anything."""
        return await self._service_clock.tell(self.deliverer.session, offset_seconds)

    def catch_up(self) -> None:
        """Let everything happen that is due by now."""
        self.shop.catch_up()
        self.shop.on_change()

    async def _serve_root(self, _request: web.Request) -> web.Response:
        """Serve the root in DER, as Apple does."""
        return web.Response(body=self._trust.root.der, content_type="application/pkix-cert")

    async def _answer_ocsp(self, request: web.Request) -> web.Response:
        """Answer for a certificate, at real time: whoever asks goes by it."""
        answer = ocsp.answer(self._trust, await request.read(), now=dt.datetime.now(dt.UTC))
        return web.Response(body=answer, content_type="application/ocsp-response")


def _write_files(options: AppStoreOptions, made: trust.Trust, key: ApiKey) -> None:
    """Write what the service is set up with."""
    if options.root_file is not None:
        options.root_file.write_bytes(made.root.der)
    if options.key_file is not None:
        options.key_file.touch(mode=0o600)
        options.key_file.write_text(key.pem, encoding="ascii")

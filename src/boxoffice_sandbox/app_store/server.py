"""Puts the App Store together."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from boxoffice_sandbox.app_store import ocsp, trust
from boxoffice_sandbox.app_store.faulty import PREFIX, faulty
from boxoffice_sandbox.clock import Clock
from boxoffice_sandbox.faults import Faults
from boxoffice_sandbox.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class AppStoreOptions:
    """What the App Store of a sandbox is started with.

    `root_file` is where the root certificate is written when the sandbox starts.
    """

    root_file: Path | None = None


class AppStore:
    """Everything under `/app-store`."""

    def __init__(
        self, options: AppStoreOptions, *, store: Store, clock: Clock, faults: Faults, address: str
    ) -> None:
        """Take the parts that it shares with the rest, and `host:port` of the sandbox."""
        self._clock = clock
        self._faults = faults
        self._trust = trust.load(store, ocsp_url=f"http://{address}{PREFIX}/ocsp")
        if options.root_file is not None:
            options.root_file.write_bytes(self._trust.root.der)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        asks = faulty(self._faults, self._answer_ocsp, now=self._now)
        return [
            web.get(f"{PREFIX}/root.cer", self._serve_root),
            web.post(f"{PREFIX}/ocsp", asks),
        ]

    def _now(self) -> int:
        return self._clock.now_milliseconds()

    async def _serve_root(self, _request: web.Request) -> web.Response:
        """Serve the root in DER, as Apple does."""
        return web.Response(body=self._trust.root.der, content_type="application/pkix-cert")

    async def _answer_ocsp(self, request: web.Request) -> web.Response:
        """Answer for a certificate, at real time: whoever asks goes by it."""
        answer = ocsp.answer(self._trust, await request.read(), now=dt.datetime.now(dt.UTC))
        return web.Response(body=answer, content_type="application/ocsp-response")

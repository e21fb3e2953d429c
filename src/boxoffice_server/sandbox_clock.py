"""Business time as the vendor sandbox moves it: with a sandbox's key only.

What is real stays real: leases, timeouts and back-off never follow it.
"""

import hmac
import json
from collections.abc import Callable

import structlog
from aiohttp import web

from boxoffice_server.clock import BusinessClock
from boxoffice_server.domain.errors import BoxofficeError
from boxoffice_server.ports import Repository, Store

# A hundred years: what is kept has to be a date.
_MOST_SECONDS = 100 * 366 * 86400


class SandboxClock:
    """Takes the offset of business time from whoever has the sandbox's key."""

    def __init__(
        self, *, store: Store, clock: BusinessClock, key: str, moved: Callable[[], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._key = key
        self._moved = moved
        self._log = structlog.get_logger(part="sandbox-clock")

    def routes(self) -> list[web.RouteDef]:
        """Serve it over HTTP: `POST /sandbox/clock` with `{"offset_seconds": 86400}`."""
        return [web.post("/sandbox/clock", self._take)]

    async def _take(self, request: web.Request) -> web.Response:
        bearer = request.headers.get("Authorization", "")
        if not hmac.compare_digest(bearer.encode(), f"Bearer {self._key}".encode()):
            return web.json_response({"message": "the sandbox's key is not this one"}, status=401)
        try:
            told = json.loads(await request.read())
            offset = told["offset_seconds"]
        except (ValueError, TypeError, KeyError):
            offset = None
        if type(offset) is not int or abs(offset) > _MOST_SECONDS:
            message = f"offset_seconds must be whole seconds, at most {_MOST_SECONDS} either way"
            return web.json_response({"message": message}, status=400)
        try:
            await self.move(offset)
        except BoxofficeError as error:
            return web.json_response({"message": error.message}, status=503)
        return web.json_response({"offset_seconds": offset})

    async def move(self, offset_seconds: int) -> None:
        """Move business time; returns once that is durable."""

        def write(repo: Repository) -> None:
            if repo.log.clock_offset() != offset_seconds:
                repo.log.append_clock(offset_seconds, self._clock.now())

        await self._store.write(write)
        self._clock.set_offset(offset_seconds)
        self._moved()
        self._log.info("business time was moved", offset_seconds=offset_seconds)

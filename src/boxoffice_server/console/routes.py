"""The console's pages over HTTP: read only, and for callers on this machine only."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from boxoffice_server.console.history import History, load
from boxoffice_server.console.moments import BadQuestionError, read_asked
from boxoffice_server.console.page import address, bad_page, index_page, user_page
from boxoffice_server.console.recent import recent_changes
from boxoffice_server.domain.errors import BoxofficeError
from boxoffice_server.domain.text import MAX_USER_ID, text_violations
from boxoffice_server.ports import Clock, Store
from boxoffice_server.settings import Address

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_Handler = Callable[[web.Request], Awaitable[web.Response]]


class Console:
    """Serves the pages."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._log = structlog.get_logger(part="console")

    def routes(self, listener: Address) -> list[web.RouteDef]:
        """List the routes; none where others than this machine could ask, for nobody logs in."""
        if not listener.is_loopback:
            self._log.info(
                "the console is off: it has no authentication yet, and BOXOFFICE_HTTP_ADDRESS is "
                "not loopback",
                address=str(listener),
            )
            return []
        return [
            web.get("/console", self._answering(self._index)),
            web.get("/console/users", self._answering(self._search)),
            web.get("/console/users/{id}", self._answering(self._user)),
        ]

    def _answering(self, handler: _Handler) -> _Handler:
        async def answer(request: web.Request) -> web.Response:
            # A page of another site must not read this one under a name of its own.
            if not _is_local(request.host):
                return _page(bad_page("This page is for callers on this machine."), status=403)
            try:
                return await handler(request)
            except BadQuestionError as error:
                return _page(bad_page(str(error)), status=400)
            except BoxofficeError as error:
                return _page(bad_page(error.message), status=503)
            except Exception as error:  # noqa: BLE001 -- the edge: a fault of ours is a 500
                request_id = str(uuid.uuid4())
                self._log.error("a fault of the service", request_id=request_id, exc_info=error)
                return _page(bad_page(f"The log tells why under {request_id}."), status=500)

        return answer

    async def _index(self, request: web.Request) -> web.Response:
        del request
        changes = await self._store.read(recent_changes)
        return _page(index_page(changes, self._clock.now()))

    async def _search(self, request: web.Request) -> web.Response:
        user_id = request.query.get("id", "").strip()
        place = address(user_id) if user_id else "/console"
        return web.Response(status=303, headers={**_HEADERS, "Location": place})

    async def _user(self, request: web.Request) -> web.Response:
        user_id, asked = request.match_info["id"], read_asked(request.query)
        history = History(user_id=user_id)
        # Nobody has another id, and not every store can look for one.
        if not text_violations(user_id, "id", most=MAX_USER_ID):
            history = await self._store.read(lambda repo: load(repo, user_id))
        # A long life takes a while to write, and calls must not wait for it.
        return _page(await asyncio.to_thread(user_page, history, asked, self._clock.now()))


def _page(text: str, *, status: int = 200) -> web.Response:
    return web.Response(status=status, text=text, content_type="text/html", headers=_HEADERS)


def _is_local(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name is not None and Address(host=name, port=0).is_loopback

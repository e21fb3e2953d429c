"""Faults on demand at the App Store's doors, with Apple's own words for them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from aiohttp import web

from boxoffice_sandbox.breaking import broken, truncated
from boxoffice_sandbox.faults import Fault, FaultKind, Faults

Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.Response]]
FaultyHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PREFIX = "/app-store"
_UNAUTHENTICATED = 401
_TOO_MANY = 429
_INTERNAL = 500


class AppleError(Exception):
    """A refusal as the App Store Server API words it: a number and a sentence."""

    def __init__(self, status: int, code: int, message: str) -> None:
        """Take the HTTP status and the members of the body."""
        super().__init__(message)
        self.status = status
        self.code = code

    def response(self, headers: dict[str, str] | None = None) -> web.Response:
        """Return the answer that says so."""
        body = {"errorCode": self.code, "errorMessage": str(self)}
        return json_answer(body, status=self.status, headers=headers)


def json_answer(
    body: Json, *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """Answer JSON; Apple's library wants the type without a charset."""
    return web.Response(
        status=status,
        body=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", **(headers or {})},
    )


def unauthenticated() -> web.Response:
    """Answer a request without a good token: Apple says nothing in JSON."""
    return web.Response(status=_UNAUTHENTICATED, text="Unauthenticated\n")


def faulty(faults: Faults, handler: Handler, *, now: Callable[[], int]) -> FaultyHandler:
    """Let armed faults strike a handler's requests; `now` is in milliseconds.

    To a fault, the path is what comes after `/app-store`.
    """

    @wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix(PREFIX)
        fault = faults.strike(account="app-store", method=request.method, path=path)
        if fault is None:
            return await handler(request)
        return await _struck(request, handler, fault, now)

    return answer


async def _struck(
    request: web.Request, handler: Handler, fault: Fault, now: Callable[[], int]
) -> web.StreamResponse:
    match fault.kind:
        case FaultKind.RESET_BEFORE:
            return broken(request)
        case FaultKind.STATUS if not fault.processed:
            return _error(fault, now())
        case FaultKind.LATENCY:
            await asyncio.sleep(fault.seconds)
    response = await handler(request)
    match fault.kind:
        case FaultKind.STATUS:
            return _error(fault, now())
        case FaultKind.RESET_AFTER:
            return broken(request)
        case FaultKind.LATE:
            await asyncio.sleep(fault.seconds)
        case FaultKind.TRUNCATE:
            body = response.body if isinstance(response.body, bytes) else b""
            return await truncated(request, status=response.status, body=body)
    return response


def _error(fault: Fault, now: int) -> web.Response:
    if fault.status == _UNAUTHENTICATED:
        return unauthenticated()
    if fault.status == _TOO_MANY:
        # Apple says when, not how long.
        again = now + max(1, round(fault.seconds)) * 1000
        error = AppleError(fault.status, 4_290_000, "Rate limit exceeded.")
        return error.response({"Retry-After": str(again)})
    if fault.status == _INTERNAL:
        error = AppleError(fault.status, 5_000_000, "An unknown error occurred.")
        return error.response()
    return web.Response(status=fault.status)

"""A Stripe of the tests' own over real HTTP: keeps intents by idempotency key, fails to order.

It stands in where a fault must be exact. How Stripe itself behaves is the sandbox's business.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self
from urllib.parse import parse_qsl

from aiohttp import web

CREATED = 1_790_000_000


class Fault(StrEnum):
    """A way for the line to fail, once."""

    RESET_BEFORE = "reset_before"
    RESET_AFTER = "reset_after"
    TRUNCATED = "truncated"
    LATE = "late"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer to order. `after_work` says that the request was carried out all the same."""

    status: int
    body: object
    headers: Mapping[str, str] = field(default_factory=dict)
    after_work: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request as it came."""

    method: str
    path: str
    form: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]

    @property
    def key(self) -> str:
        """Tell its idempotency key."""
        return self.headers["Idempotency-Key"]


def stripe_error(kind: str, message: str, **fields: str) -> dict[str, object]:
    """Make the body of an error as Stripe writes it."""
    return {"error": {"type": kind, "message": message, **fields}}


def intent_body(intent_id: str, **fields: object) -> dict[str, object]:
    """Make an intent as Stripe answers it."""
    return {
        "id": intent_id,
        "object": "payment_intent",
        "amount": 1250,
        "amount_capturable": 0,
        "client_secret": f"{intent_id}_secret_hush",
        "created": CREATED,
        "currency": "eur",
        "last_payment_error": None,
        "livemode": False,
        "metadata": {},
        "status": "requires_payment_method",
    } | fields


class FakeStripe:
    """Answers at `address`; does what `script` says first, one step a request."""

    def __init__(self) -> None:
        self.script: list[Fault | Reply] = []
        self.received: list[Received] = []
        self.made: dict[str, dict[str, object]] = {}
        self.intents: dict[str, dict[str, object]] = {}
        self.address = ""
        self.arrived = asyncio.Event()
        self._ended = asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.address = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ended.set()
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        received = Received(
            method=request.method,
            path=request.path,
            form=tuple(parse_qsl(await request.text(), keep_blank_values=True)),
            headers=request.headers.copy(),
        )
        self.received.append(received)
        self.arrived.set()
        step = self.script.pop(0) if self.script else None
        if isinstance(step, Reply):
            if step.after_work:
                self._carry_out(received)
            return _response(step)
        return await self._fail(step, request, received)

    async def _fail(
        self, fault: Fault | None, request: web.Request, received: Received
    ) -> web.StreamResponse:
        if fault is Fault.RESET_BEFORE:
            return _reset(request)
        reply = self._carry_out(received)
        match fault:
            case Fault.RESET_AFTER:
                return _reset(request)
            case Fault.TRUNCATED:
                cut = web.StreamResponse(headers={"Content-Length": "5000"})
                await cut.prepare(request)
                await cut.write(b'{"id": "pi_')
                return _reset(request, cut)
            case Fault.LATE:
                await self._ended.wait()
        return _response(reply)

    def _carry_out(self, received: Received) -> Reply:
        if received.method == "GET":
            found = self.intents.get(received.path.rpartition("/")[2])
            if found is None:
                missing = stripe_error("invalid_request_error", "No such payment_intent: 'pi_?'")
                return Reply(status=404, body=missing, headers={"Request-Id": "req_missing"})
            return Reply(status=200, body=found, headers={"Request-Id": "req_read"})
        known = received.key in self.made
        made = self.made.setdefault(received.key, self._make(received))
        replayed = {"Idempotent-Replayed": "true"} if known else {}
        return Reply(status=200, body=made, headers={"Request-Id": "req_made", **replayed})

    def _make(self, received: Received) -> dict[str, object]:
        number = len(self.made) + 1
        if received.path == "/v1/customers":
            return {"id": f"cus_{number}", "object": "customer", "created": CREATED}
        form = dict(received.form)
        return intent_body(f"pi_{number}", amount=int(form["amount"]), currency=form["currency"])


def _response(reply: Reply) -> web.Response:
    if isinstance(reply.body, str):
        return web.Response(status=reply.status, text=reply.body, headers=reply.headers)
    return web.json_response(reply.body, status=reply.status, headers=reply.headers)


def _reset(request: web.Request, answer: web.StreamResponse | None = None) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return answer or web.Response()

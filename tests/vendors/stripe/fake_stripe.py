"""A Stripe of the tests' own over real HTTP: keeps answers by idempotency key, fails to order.

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


def stripe_error(kind: str, message: str, **fields: object) -> dict[str, object]:
    """Make the body of an error as Stripe writes it."""
    return {"error": {"type": kind, "message": message, **fields}}


def intent_body(intent_id: str, **fields: object) -> dict[str, object]:
    """Make an intent as Stripe answers it."""
    return {
        "id": intent_id,
        "object": "payment_intent",
        "amount": 1250,
        "amount_capturable": 0,
        "amount_received": 0,
        "client_secret": f"{intent_id}_secret_hush",
        "created": CREATED,
        "currency": "eur",
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": {},
        "status": "requires_payment_method",
    } | fields


def charge_body(charge_id: str, **fields: object) -> dict[str, object]:
    """Make a charge without an intent as Stripe answers it."""
    return {
        "id": charge_id,
        "object": "charge",
        "amount": 1250,
        "amount_captured": 1250,
        "amount_refunded": 0,
        "captured": True,
        "created": CREATED,
        "currency": "eur",
        "failure_code": None,
        "failure_message": None,
        "metadata": {},
        "outcome": None,
        "payment_intent": None,
        "refunded": False,
        "status": "succeeded",
    } | fields


def refund_body(refund_id: str, **fields: object) -> dict[str, object]:
    """Make a refund as Stripe answers it."""
    return {
        "id": refund_id,
        "object": "refund",
        "amount": 500,
        "charge": "ch_1",
        "created": CREATED,
        "currency": "eur",
        "metadata": {},
        "payment_intent": "pi_1",
        "reason": None,
        "status": "succeeded",
    } | fields


def method_body(method_id: str, **fields: object) -> dict[str, object]:
    """Make a payment method as Stripe answers it."""
    return {
        "id": method_id,
        "object": "payment_method",
        "card": {"brand": "visa", "exp_month": 8, "exp_year": 2031, "last4": "4242"},
        "created": CREATED,
        "customer": None,
        "type": "card",
    } | fields


class FakeStripe:
    """Answers at `address`; does what `script` says first, one step a request.

    `objects` can be read by their ids, `lists` by their paths, `page_size` objects at a time; what
    a list is filtered by, but for the time, is for the test to look at.
    """

    def __init__(self) -> None:
        self.script: list[Fault | Reply] = []
        self.received: list[Received] = []
        self.made: dict[str, dict[str, object]] = {}
        self.objects: dict[str, dict[str, object]] = {}
        self.lists: dict[str, list[dict[str, object]]] = {}
        self.page_size = 100
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

    def answer_late_ones(self) -> None:
        """Send the answers that were kept back, and keep back no more."""
        self._ended.set()

    async def __aexit__(self, *_: object) -> None:
        self._ended.set()
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        received = Received(
            method=request.method,
            path=request.path,
            form=tuple(
                request.query.items()
                if request.method == "GET"
                else parse_qsl(await request.text(), keep_blank_values=True)
            ),
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
            return self._read(received)
        known = received.key in self.made
        made = self.made.setdefault(received.key, self._make(received))
        replayed = {"Idempotent-Replayed": "true"} if known else {}
        return Reply(status=200, body=made, headers={"Request-Id": "req_made", **replayed})

    def _read(self, received: Received) -> Reply:
        if received.path in self.lists:
            return Reply(status=200, body=self._page(received), headers={"Request-Id": "req_list"})
        found = self.objects.get(received.path.rpartition("/")[2])
        if found is None:
            missing = stripe_error("invalid_request_error", "No such thing: '?'")
            return Reply(status=404, body=missing, headers={"Request-Id": "req_missing"})
        return Reply(status=200, body=found, headers={"Request-Id": "req_read"})

    def _page(self, received: Received) -> dict[str, object]:
        query = dict(received.form)
        since, after = int(query.get("created[gte]", 0)), query.get("starting_after")
        wanted = [each for each in self.lists[received.path] if _created(each) >= since]
        ids = [each["id"] for each in wanted]
        first = ids.index(after) + 1 if after else 0
        last = first + min(self.page_size, int(query.get("limit", 10)))
        return {
            "object": "list",
            "data": wanted[first:last],
            "has_more": last < len(wanted),
            "url": received.path,
        }

    def _make(self, received: Received) -> dict[str, object]:
        number, form = len(self.made) + 1, dict(received.form)
        match received.path.split("/")[2:]:
            case ["customers"]:
                return {"id": f"cus_{number}", "object": "customer", "created": CREATED}
            case ["payment_intents"]:
                money = {"amount": int(form["amount"]), "currency": form["currency"]}
                return intent_body(f"pi_{number}", **money)
            case ["payment_intents", intent, "capture"]:
                taken = int(form["amount_to_capture"])
                return intent_body(intent, status="succeeded", amount_received=taken)
            case ["payment_intents", intent, "cancel"]:
                return intent_body(intent, status="canceled")
            case ["refunds"]:
                return refund_body(f"re_{number}", amount=int(form["amount"]))
            case ["charges"]:
                return charge_body(f"ch_{number}")
            case ["setup_intents"]:
                secret = f"seti_{number}_secret_hush"
                return {"id": f"seti_{number}", "object": "setup_intent", "client_secret": secret}
            case ["payment_methods", method, "attach"]:
                return method_body(method, customer=form["customer"])
            case ["payment_methods", method, "detach"]:
                return method_body(method)
            case _:
                raise AssertionError(f"nobody makes anything at {received.path}")


def _created(told: dict[str, object]) -> int:
    created = told["created"]
    assert isinstance(created, int)
    return created


def _response(reply: Reply) -> web.Response:
    if isinstance(reply.body, str):
        return web.Response(status=reply.status, text=reply.body, headers=reply.headers)
    return web.json_response(reply.body, status=reply.status, headers=reply.headers)


def _reset(request: web.Request, answer: web.StreamResponse | None = None) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return answer or web.Response()

"""What the sandbox's tests drive it with: the official SDK, a control client, a listener.

Everything that goes over the wire is checked against Stripe's OpenAPI document.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import stripe
from aiohttp import web

from boxoffice_sandbox.server import Options, running
from tests.support.stripe_openapi import StripeOpenApi

Json = dict[str, Any]

SECRET = "whsec_boxoffice_sandbox"
DEADLINE_SECONDS = 10
START = 1_800_000_000
"""What a frozen clock shows."""


class CheckingClient(stripe.AIOHTTPClient):
    """The SDK's own HTTP client, which also checks what it sends and gets."""

    def __init__(self, openapi: StripeOpenApi, timeout: float = 80) -> None:
        # A plain connector: the SDK would read all certificates for each client otherwise.
        super().__init__(timeout=timeout, connector=aiohttp.TCPConnector())
        self._openapi = openapi
        self._expects_bad_requests = False
        self.answers: list[tuple[int, Mapping[str, str], bytes]] = []

    @contextmanager
    def bad_requests(self) -> Iterator[None]:
        """Lets requests through that Stripe's document refuses: they are the test."""
        self._expects_bad_requests = True
        yield
        self._expects_bad_requests = False

    async def request_async(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        post_data: Any = None,  # noqa: ANN401  (as the SDK declares it)
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Checks the request, sends it, checks the answer."""
        path = urlsplit(url).path.removeprefix("/stripe")
        if not self._expects_bad_requests:
            encoded = post_data if method == "post" else urlsplit(url).query
            form = parse_qsl(encoded or "", keep_blank_values=True)
            self._openapi.check_request(method, path, form)
        answer = await super().request_async(method, url, headers, post_data)
        body, status, answer_headers = answer
        self._openapi.check_response(method, path, status, json.loads(body))
        self.answers.append((status, answer_headers, body))
        return answer

    async def close(self) -> None:
        """Closes the connections."""
        await super().close_async()  # type: ignore[no-untyped-call]  # the SDK's own method

    @property
    def last_headers(self) -> Mapping[str, str]:
        """The headers of the latest answer."""
        return self.answers[-1][1]


class Desk:
    """One account of a running sandbox, with the SDK and the control door to it."""

    def __init__(self, address: str, key: str, openapi: StripeOpenApi) -> None:
        self.address = address
        self.key = key
        self.openapi = openapi
        self.http = CheckingClient(openapi)
        self.stripe = self.client(key)
        self._session = aiohttp.ClientSession(f"http://{address}")

    def client(
        self, key: str, *, retries: int = 0, http: CheckingClient | None = None
    ) -> stripe.StripeClient:
        """A client of any key."""
        return stripe.StripeClient(
            key,
            base_addresses={"api": f"http://{self.address}/stripe"},
            http_client=http or self.http,
            max_network_retries=retries,
        )

    @property
    def publishable(self) -> stripe.StripeClient:
        """What a browser has: the publishable key."""
        return self.client(self.key.replace("sk_", "pk_"))

    async def close(self) -> None:
        """Closes all connections."""
        await self.http.close()
        await self._session.close()

    async def control(self, path: str, body: Json | None = None, *, verb: str = "POST") -> Json:
        """Calls the control door and expects it to work."""
        status, answer = await self.try_control(path, body, verb=verb)
        assert status == 200, (status, answer)
        return answer

    async def try_control(
        self, path: str, body: Json | None = None, *, verb: str = "POST"
    ) -> tuple[int, Json]:
        """Calls the control door, whatever comes."""
        async with self._session.request(verb, f"/control/{path}", json=body) as response:
            answer: Json = await response.json()
            return response.status, answer

    async def visit(self, path: str, *, post: bool = False) -> tuple[int, str, str]:
        """Opens a page; returns the status, where it sends the visitor, and its text."""
        verb = "POST" if post else "GET"
        async with self._session.request(verb, path, allow_redirects=False) as response:
            return response.status, response.headers.get("Location", ""), await response.text()

    async def press(self, payment_intent: str, action: str) -> Json:
        """Presses a button of a payment intent."""
        return await self.control(f"payment_intents/{payment_intent}/{action}")

    async def fault(self, **fault: object) -> None:
        """Arms a fault for this account only."""
        await self.control("faults", {"account": self.key, **fault})

    async def events(self) -> list[str]:
        """The account's event types, oldest first."""
        page = await self.stripe.v1.events.list_async({"limit": 100})
        return [event.type for event in reversed(page.data)]

    async def event(self, event_type: str) -> Json:
        """The account's newest event of a type."""
        page = await self.stripe.v1.events.list_async({"type": event_type, "limit": 1})
        found: Json = page.data[0].to_dict()
        return found

    async def new_customer(self) -> str:
        """Makes a customer and returns its id."""
        return (await self.stripe.v1.customers.create_async({"name": "Jenny Rosen"})).id

    async def new_payment(self, **params: Any) -> stripe.PaymentIntent:  # noqa: ANN401
        """Makes a payment intent of 10.00 eur by card, or as asked."""
        asked: Any = {"amount": 1000, "currency": "eur", "payment_method_types": ["card"]}
        return await self.stripe.v1.payment_intents.create_async(asked | params)


@asynccontextmanager
async def frozen(database: Path, openapi: StripeOpenApi) -> AsyncIterator[Desk]:
    """A sandbox of the test's own, seeded, whose real clock stands still."""
    options = Options(database=database, port=0, webhook_url="", seed="a seed", frozen_time=START)
    async with running(options) as address:
        desk = Desk(address, "sk_test_boxoffice_default", openapi)
        yield desk
        await desk.close()


class Listener:
    """A webhook address that keeps what it gets; every signature and event is checked."""

    def __init__(self, openapi: StripeOpenApi) -> None:
        self._openapi = openapi
        self._news = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self.url = ""
        self.answers: list[int] = []
        self.events: list[Json] = []
        self.signatures: list[str] = []

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.add_routes([web.post("/hooks", self._take)])
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/hooks"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        header = request.headers["Stripe-Signature"]
        assert stripe.WebhookSignature.verify_header(body.decode(), header, SECRET)
        event = json.loads(body)
        if not event["type"].startswith("boxoffice."):
            self._openapi.check_event(event)
        status = self.answers.pop(0) if self.answers else 200
        async with self._news:
            self.events.append(event)
            self.signatures.append(header)
            self._news.notify_all()
        return web.Response(status=status)

    @property
    def types(self) -> list[str]:
        """The types that came, in the order of arrival."""
        return [event["type"] for event in self.events]

    async def until(self, fulfilled: Callable[[Self], bool]) -> None:
        """Waits until what came is enough."""
        async with asyncio.timeout(DEADLINE_SECONDS), self._news:
            await self._news.wait_for(lambda: fulfilled(self))

    async def until_count(self, count: int) -> None:
        """Waits until so many deliveries came."""
        await self.until(lambda self: len(self.events) >= count)


@asynccontextmanager
async def listening(desk: Desk) -> AsyncIterator[Listener]:
    """A listener that the account's webhooks go to."""
    async with Listener(desk.openapi) as listener:
        await desk.control(f"accounts/{desk.key}", {"webhook_url": listener.url})
        yield listener
        await desk.control(f"accounts/{desk.key}", {"webhook_url": ""})

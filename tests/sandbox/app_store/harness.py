"""What the App Store's tests drive it with: Apple's own library, a control client, a service.

Everything that the sandbox signs is judged by Apple's library.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import aiohttp
import pytest
from aiohttp import web
from appstoreserverlibrary.api_client import APIException, AppStoreServerAPIClient
from appstoreserverlibrary.models.Environment import Environment
from appstoreserverlibrary.models.JWSRenewalInfoDecodedPayload import JWSRenewalInfoDecodedPayload
from appstoreserverlibrary.models.JWSTransactionDecodedPayload import JWSTransactionDecodedPayload
from appstoreserverlibrary.models.ResponseBodyV2DecodedPayload import ResponseBodyV2DecodedPayload
from appstoreserverlibrary.signed_data_verifier import SignedDataVerifier

from boxoffice_sandbox.app_store.auth import ISSUER_ID, KEY_ID
from boxoffice_sandbox.app_store.notifications import APP_APPLE_ID
from boxoffice_sandbox.app_store.server import AppStoreOptions
from boxoffice_sandbox.app_store.settings import AppStoreSettings
from boxoffice_sandbox.server import Options, running
from tests.sandbox.harness import DEADLINE_SECONDS, START

Json = dict[str, Any]
T = TypeVar("T")

BUNDLE = "com.example.boxoffice"
TOKEN = "8f0b8b1e-1c7a-4d58-9f57-0f0f4f5f6f7f"
DAY = 86_400
START_MS = START * 1000


class Client(AppStoreServerAPIClient):
    """Apple's own client, sent to the sandbox."""

    def __init__(self, address: str, key: bytes, **other: str) -> None:
        names = {"key_id": KEY_ID, "issuer_id": ISSUER_ID, "bundle_id": BUNDLE} | other
        super().__init__(signing_key=key, environment=Environment.SANDBOX, **names)
        self._base_url = f"http://{address}/app-store"


class Service:
    """Where notifications go: it keeps them, and what it was told of the time, in order."""

    def __init__(self) -> None:
        self._news = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self.url = ""
        self.answers: list[int] = []
        self.clock_answer = 204
        self.payloads: list[str] = []
        self.offsets: list[int] = []
        self.keys: list[str] = []
        self.order: list[str] = []

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.add_routes(
            [web.post("/webhooks/app-store", self._take), web.post("/sandbox/clock", self._move)]
        )
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        assert list(body) == ["signedPayload"]
        async with self._news:
            self.payloads.append(body["signedPayload"])
            self.order.append("notification")
            self._news.notify_all()
        return web.Response(status=self.answers.pop(0) if self.answers else 200)

    async def _move(self, request: web.Request) -> web.Response:
        self.offsets.append(json.loads(await request.read())["offset_seconds"])
        self.keys.append(request.headers["Authorization"])
        async with self._news:
            self.order.append("clock")
            self._news.notify_all()
        return web.Response(status=self.clock_answer)

    async def until(self, fulfilled: Callable[[Self], bool]) -> None:
        """Waits until what came is enough."""
        async with asyncio.timeout(DEADLINE_SECONDS), self._news:
            await self._news.wait_for(lambda: fulfilled(self))

    async def until_count(self, count: int) -> None:
        """Waits until so many notifications came."""
        await self.until(lambda self: len(self.payloads) >= count)

    async def until_offsets(self, count: int) -> None:
        """Waits until it was told the time so often."""
        await self.until(lambda self: len(self.offsets) >= count)


class AppStoreDesk:
    """A running sandbox's App Store."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address = address
        self.root = (folder / "root.cer").read_bytes()
        self.key = (folder / "key.p8").read_bytes()
        self.client = Client(address, self.key)
        self._session = aiohttp.ClientSession(f"http://{address}")

    async def close(self) -> None:
        """Closes all connections."""
        await self._session.close()

    def judge(self, *, online: bool = False, production: bool = False) -> SignedDataVerifier:
        """Apple's judge."""
        environment = Environment.PRODUCTION if production else Environment.SANDBOX
        return SignedDataVerifier([self.root], online, environment, BUNDLE, APP_APPLE_ID)

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

    async def ask(self, call: Callable[..., T], *words: Any) -> T:  # noqa: ANN401
        """Lets Apple's client, which blocks, ask something."""
        return await asyncio.to_thread(call, *words)

    async def buy(self, product: str = "premium_monthly", **given: object) -> str:
        """Somebody subscribes; returns the original transaction id."""
        answer = await self.control("app-store/subscriptions", {"product": product, **given})
        return str(answer["id"])

    async def act(self, subscription: str, action: str, **given: object) -> Json:
        """Something is done to a subscription."""
        return await self.control(f"app-store/subscriptions/{subscription}/{action}", given)

    async def settings(self, **changes: object) -> Json:
        """Changes how the App Store behaves."""
        return await self.control("app-store/settings", changes)

    async def advance(self, seconds: int) -> Json:
        """Moves the clock."""
        return await self.control("clock", {"advance_seconds": seconds})

    async def told(self) -> list[str]:
        """All notifications so far, oldest first, such as `SUBSCRIBED/INITIAL_BUY`."""
        return [named(it["type"], it["subtype"]) for it in await self.notifications()]

    async def notifications(self) -> list[Json]:
        """All notifications so far with their deliveries, oldest first."""
        answer = await self.control("app-store/notifications", verb="GET")
        return list(reversed(answer["notifications"]))

    def read(
        self, payload: str, *, production: bool = False
    ) -> tuple[
        ResponseBodyV2DecodedPayload,
        JWSTransactionDecodedPayload | None,
        JWSRenewalInfoDecodedPayload | None,
    ]:
        """Verifies a notification and what is signed in it."""
        judge = self.judge(production=production)
        told = judge.verify_and_decode_notification(payload)
        data = told.data
        if data is None or data.signedTransactionInfo is None:
            return told, None, None
        transaction = judge.verify_and_decode_signed_transaction(data.signedTransactionInfo)
        assert data.signedRenewalInfo is not None
        return told, transaction, judge.verify_and_decode_renewal_info(data.signedRenewalInfo)


async def refusal(store: AppStoreDesk, call: Callable[..., Any], *words: Any) -> APIException:  # noqa: ANN401
    """What Apple's client raises."""
    with pytest.raises(APIException) as refused:
        await store.ask(call, *words)
    return refused.value


def named(kind: str | None, subtype: str | None) -> str:
    """A notification's type with its subtype."""
    return f"{kind}/{subtype}" if subtype else str(kind)


@asynccontextmanager
async def app_store(
    folder: Path, service_url: str = "", *, frozen: bool = True, environment: str = "Sandbox"
) -> AsyncIterator[AppStoreDesk]:
    """A sandbox of the test's own, whose real clock stands still unless told otherwise."""
    options = Options(
        database=folder / "sandbox.db",
        port=0,
        webhook_url="",
        seed="a seed",
        frozen_time=START if frozen else None,
        app_store=AppStoreOptions(
            root_file=folder / "root.cer",
            key_file=folder / "key.p8",
            settings=AppStoreSettings(service_url=service_url, environment=environment),
        ),
    )
    async with running(options) as address:
        desk = AppStoreDesk(address, folder)
        yield desk
        await desk.close()

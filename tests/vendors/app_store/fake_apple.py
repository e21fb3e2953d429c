"""The App Store Server API's HTTP edge: checks who asks, and answers what it is told to."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from boxoffice_server.vendors.app_store.answers import Credentials
from tests.vendors.app_store.payloads import BUNDLE, LINEAGE

KEY = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
KEY_ID, ISSUER_ID = "KEY1234567", "57246542-96fe-1a63-e053-0824d011072a"
CREDENTIALS = Credentials(issuer_id=ISSUER_ID, key_id=KEY_ID, private_key=lambda: PEM)
AUDIENCE = "appstoreconnect-v1"

Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request, as it came. `app` is the one that its token names."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    app: str


@dataclass(kw_only=True)
class FakeApple:
    """Answers each path with what is told of it, in turn; the last answer stays."""

    url: str = ""
    answers: dict[str, list[web.Response | Json]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, path: str, *answers: web.Response | Json) -> None:
        """Answer a path below `/inApps`."""
        self.answers[f"/inApps{path}"] = list(answers)

    def tell_of_lineage(self, path: str, *answers: web.Response | Json) -> None:
        """Answer a path that ends with the lineage."""
        self.tell(f"{path}/{LINEAGE}", *answers)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        scheme, _, token = request.headers["Authorization"].partition(" ")
        assert scheme == "Bearer"
        claims = check_token(token)
        self.asked.append(
            Asked(
                method=request.method,
                path=request.path,
                query=dict(request.query),
                body=await request.json() if request.can_read_body else None,
                app=claims["bid"],
            )
        )
        await self.may_answer.wait()
        told = self.answers.get(request.path)
        if told is None:
            return refusal(404, 4040010, "Transaction id not found.")
        answer = told.pop(0) if len(told) > 1 else told[0]
        if isinstance(answer, web.Response):
            return web.Response(
                status=answer.status, body=answer.body, headers=dict(answer.headers)
            )
        return web.json_response(dict(answer))


def check_token(token: str) -> dict[str, Any]:
    """Check a token as Apple does.

    https://developer.apple.com/documentation/appstoreserverapi/generating-json-web-tokens-for-api-requests
    """
    header = jwt.get_unverified_header(token)
    assert (header["alg"], header["kid"], header["typ"]) == ("ES256", KEY_ID, "JWT")
    claims: dict[str, Any] = jwt.decode(
        token,
        KEY.public_key(),
        algorithms=["ES256"],
        audience=AUDIENCE,
        issuer=ISSUER_ID,
        options={"require": ["exp", "bid"]},
    )
    assert claims["bid"].startswith(BUNDLE)
    return claims


def refusal(status: int, code: int, message: str) -> web.Response:
    """An error as Apple words it; of one type alone, for Apple adds no charset."""
    answer = web.json_response({"errorCode": code, "errorMessage": message}, status=status)
    answer.headers["Content-Type"] = "application/json"
    return answer


@asynccontextmanager
async def running_apple() -> AsyncIterator[FakeApple]:
    """A fake at a port of its own."""
    fake = FakeApple()
    fake.may_answer.set()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", fake.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield fake
    fake.may_answer.set()
    await runner.cleanup()

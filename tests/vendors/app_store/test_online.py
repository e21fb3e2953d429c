"""Online checks: whether a chain was revoked is asked once, and no silence is taken for a yes."""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.vendors.app_store.online import BELIEVED_FOR, OnlineChecks, in_thread
from boxoffice_server.vendors.app_store.recipients import SANDBOX
from boxoffice_server.vendors.app_store.verification import AppStoreVerification
from tests.vendors.app_store.notices import (
    NOW,
    body_of,
    refusal_of,
    signed_payload,
    verification,
)
from tests.vendors.app_store.signing import Apple, make_apple

CHAIN = ("leaf", "intermediate", "root")


@dataclass(kw_only=True)
class Responder:
    """Apple's responder, which can be silent, or fail."""

    apple: Apple | None = None
    status: int = 200
    asked: int = 0
    was_asked: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request."""
        self.asked += 1
        self.was_asked.set()
        body = await request.read()
        await self.may_answer.wait()
        assert self.apple is not None
        return web.Response(status=self.status, body=self.apple.answer(body))


@pytest.fixture
async def responder() -> AsyncIterator[Responder]:
    """A responder at a port of its own, for the certificates of an Apple that names it."""
    responder = Responder()
    responder.may_answer.set()
    application = web.Application()
    application.router.add_post("/ocsp", responder.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    responder.apple = make_apple(responder=f"http://127.0.0.1:{runner.addresses[0][1]}/ocsp")
    yield responder
    responder.may_answer.set()
    await runner.cleanup()


def live(apple: Apple | None, checks: OnlineChecks | None = None) -> AppStoreVerification:
    """A verification that asks Apple's responder."""
    return verification(apple, online=frozenset({SANDBOX}), checks=checks or OnlineChecks())


async def test_a_chain_is_asked_about_once_however_many_wait(responder: Responder) -> None:
    """Both certificates, one time each; after that nobody is asked for a while."""
    responder.may_answer.clear()
    verifying = live(responder.apple)
    bodies = [body_of(signed_payload(apple=responder.apple, version=str(n))) for n in range(6)]
    waiting = asyncio.gather(*(verifying.notification(body, now=NOW) for body in bodies))
    await responder.was_asked.wait()
    responder.may_answer.set()
    assert len(await waiting) == len(bodies)
    await verifying.notification(bodies[0], now=NOW)
    await verifying.close()
    assert responder.asked == 2


async def test_history_is_not_asked_about(responder: Responder) -> None:
    """Its chains may have ended long ago."""
    verifying = live(responder.apple)
    await verifying.notification(
        body_of(signed_payload(apple=responder.apple)), now=NOW, live=False
    )
    await verifying.close()
    assert responder.asked == 0


async def test_a_revoked_chain_is_refused(responder: Responder) -> None:
    """Nothing that it signs is Apple's any more."""
    assert responder.apple is not None
    responder.apple.revoked.add(responder.apple.leaf.certificate.serial_number)
    body = body_of(signed_payload(apple=responder.apple))
    assert await refusal_of(body, using=live(responder.apple)) is Reason.SIGNATURE_INVALID


async def test_a_chain_that_has_ended_is_refused_live(responder: Responder) -> None:
    """Live, a chain is judged by today as well."""
    assert responder.apple is not None
    ended = make_apple(leaf_end=datetime(2025, 6, 1, tzinfo=UTC))
    body = body_of(signed_payload(apple=ended))
    assert await refusal_of(body, using=live(ended)) is Reason.SIGNATURE_INVALID
    assert await refusal_of(body, using=verification(ended)) is None


async def test_a_responder_that_fails_is_no_forgery(responder: Responder) -> None:
    """Whoever sent it sends it again; what failed is not remembered."""
    responder.status = 503
    verifying = live(responder.apple)
    body = body_of(signed_payload(apple=responder.apple))
    with pytest.raises(BoxofficeError) as caught:
        await verifying.notification(body, now=NOW)
    assert caught.value.reason is Reason.VENDOR_UNAVAILABLE
    assert caught.value.retry_after is not None
    responder.status = 200
    await verifying.notification(body, now=NOW)
    await verifying.close()


async def test_a_responder_that_is_not_there_is_no_forgery() -> None:
    """Nobody listens at the address that the certificates name."""
    apple = make_apple()
    body = body_of(signed_payload(apple=apple))
    assert await refusal_of(body, using=live(apple)) is Reason.VENDOR_UNAVAILABLE


async def test_a_silent_responder_is_not_waited_for_longer_than_patience(
    responder: Responder,
) -> None:
    """Whoever sent it gets an answer in time; the question goes on for those who come next."""
    responder.may_answer.clear()
    verifying = live(responder.apple, OnlineChecks(patience=timedelta(seconds=0.05)))
    body = body_of(signed_payload(apple=responder.apple))
    for _ in range(2):
        with pytest.raises(BoxofficeError) as caught:
            await verifying.notification(body, now=NOW)
        assert caught.value.reason is Reason.VENDOR_UNAVAILABLE
    assert responder.asked == 1
    await verifying.close()


async def test_an_answer_is_believed_for_a_quarter_of_an_hour() -> None:
    """Then it is asked for again."""
    moment = 1000.0
    asked = 0

    def ask() -> None:
        nonlocal asked
        asked += 1

    checks = OnlineChecks(monotonic=lambda: moment)
    for seconds, times in ((0.0, 1), (BELIEVED_FOR.total_seconds() - 1, 1), (1.0, 2)):
        moment += seconds
        await checks.check(CHAIN, ask)
        assert asked == times
    await checks.check(("another",), ask)
    assert asked == 3
    await checks.close()


async def test_what_is_done_in_a_thread_is_answered_or_raised() -> None:
    """As if it had been done here."""

    def fail() -> None:
        raise KeyError("no")

    assert await in_thread(lambda: threading.current_thread().daemon)
    with pytest.raises(KeyError):
        await in_thread(fail)

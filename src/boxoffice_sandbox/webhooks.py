"""Delivers events to the accounts' webhook addresses: signed, concurrent, retried."""

import asyncio
import hashlib
import hmac
import json
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

import aiohttp

from boxoffice_sandbox.accounts import Account, Accounts, WebhookMode
from boxoffice_sandbox.clock import Clock
from boxoffice_sandbox.store import Store

Json = dict[str, Any]

GIVE_UP_SECONDS = 3 * 24 * 3600
_LONGEST_PAUSE_SECONDS = 60.0
_TIMEOUT = aiohttp.ClientTimeout(total=20)
_HEADERS = {
    "Accept": "*/*; q=0.5, application/xml",
    "Cache-Control": "no-cache",
    "Content-Type": "application/json; charset=utf-8",
    "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
}

_log = logging.getLogger(__name__)


def signature(body: bytes, *, secret: str, timestamp: int) -> str:
    """Return the `Stripe-Signature` header for a body."""
    signed = str(timestamp).encode() + b"." + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


class WebhookSender:
    """Sends what is pending until each delivery got a 2xx or three virtual days are over."""

    def __init__(self, store: Store, accounts: Accounts, clock: Clock) -> None:
        """Take where the deliveries are and the clock that signs them."""
        self._store = store
        self._accounts = accounts
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._active: set[int] = set()
        self._newest = 0
        self._retry_now = asyncio.Event()
        self.first_pause_seconds = float(store.setting("webhook_first_pause") or 1)

    async def start(self) -> None:
        """Open the client and take up what a former process left undelivered."""
        self._session = aiohttp.ClientSession(
            timeout=_TIMEOUT, connector=aiohttp.TCPConnector(limit=64)
        )
        self.wake(everything=True)

    async def close(self) -> None:
        """Stop sending; what is pending stays so in the store."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def set_first_pause(self, seconds: float) -> None:
        """Set the pause before the first retry; each further pause is twice as long."""
        self.first_pause_seconds = seconds
        self._store.set_setting("webhook_first_pause", str(seconds))

    def wake(self, *, everything: bool = False) -> None:
        """Begin with the deliveries that were queued since the last call (or with all pending)."""
        since = 0 if everything else self._newest
        rows = self._store.rows(
            "SELECT id, account, batch, delay_seconds FROM deliveries "
            "WHERE state = 'pending' AND id > ? ORDER BY id",
            (since,),
        )
        batches: dict[str, list[int]] = {}
        for row in rows:
            number = int(row["id"])
            self._newest = max(self._newest, number)
            if number in self._active:
                continue
            if self._accounts.by_name(row["account"]).webhook_mode is WebhookMode.REVERSE:
                batches.setdefault(row["batch"], []).insert(0, number)
            else:
                self._spawn(self._deliver(number, delay=row["delay_seconds"]), number)
        for batch in batches.values():
            self.send_in_turn(batch)

    def send_in_turn(self, numbers: Sequence[int]) -> None:
        """Send deliveries one after the other in the given order, each once before the next."""
        self._spawn(self._deliver_in_turn(numbers), *numbers)

    def send(self, number: int) -> None:
        """Send one delivery."""
        self._spawn(self._deliver(number, delay=0), number)

    def retry(self) -> None:
        """End all pauses: everything pending is attempted now."""
        self._retry_now.set()
        self._retry_now = asyncio.Event()

    def _spawn(self, work: Coroutine[Any, Any, None], *numbers: int) -> None:
        self._active.update(numbers)
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)

        def ended(done: asyncio.Task[None]) -> None:
            self._tasks.discard(done)
            self._active.difference_update(numbers)
            if not done.cancelled() and done.exception() is not None:
                _log.error("webhook delivery broke", exc_info=done.exception())

        task.add_done_callback(ended)

    async def _deliver_in_turn(self, numbers: Sequence[int]) -> None:
        failed = [number for number in numbers if not await self._attempt(number)]
        await asyncio.gather(*(self._deliver(number, delay=0, pause=True) for number in failed))

    async def _deliver(self, number: int, *, delay: float, pause: bool = False) -> None:
        await asyncio.sleep(delay)
        pause_seconds = self.first_pause_seconds
        if pause:
            pause_seconds = await self._pause(pause_seconds)
        while not await self._attempt(number):
            if self._given_up(number):
                return
            pause_seconds = await self._pause(pause_seconds)

    async def _pause(self, seconds: float) -> float:
        """Wait for the pause or for `retry`; return the next pause."""
        try:
            async with asyncio.timeout(seconds):
                await self._retry_now.wait()
        except TimeoutError:
            pass
        return min(seconds * 2, _LONGEST_PAUSE_SECONDS)

    def _given_up(self, number: int) -> bool:
        row = self._store.row("SELECT * FROM deliveries WHERE id = ?", (number,))
        event = row and self._store.find(row["event"], account=row["account"])
        if event and event["created"] + GIVE_UP_SECONDS > self._clock.now():
            return False
        self._store.run("UPDATE deliveries SET state = 'failed' WHERE id = ?", (number,))
        return True

    async def _attempt(self, number: int) -> bool:
        row = self._store.row("SELECT * FROM deliveries WHERE id = ?", (number,))
        if row is None:
            return True
        event = self._store.find(row["event"], account=row["account"])
        if event is None:
            return True
        account = self._accounts.by_name(row["account"])
        accepted, answer = await self.post(account, event)
        state = "delivered" if accepted else "pending"
        self._store.run(
            "UPDATE deliveries SET state = ?, attempts = attempts + 1, answer = ? WHERE id = ?",
            (state, answer, number),
        )
        return accepted

    async def post(self, account: Account, event: Json) -> tuple[bool, str]:
        """Send one event once, signed now; tell whether it was a 2xx, and what came back."""
        if self._session is None:
            raise RuntimeError("the sender isn't started")
        body = json.dumps(event, indent=2, ensure_ascii=False).encode()
        signed = signature(body, secret=account.webhook_secret, timestamp=self._clock.now())
        headers = {**_HEADERS, "Stripe-Signature": signed}
        try:
            async with self._session.post(
                account.webhook_url, data=body, headers=headers, allow_redirects=False
            ) as response:
                return 200 <= response.status < 300, str(response.status)  # noqa: PLR2004
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return False, type(error).__name__

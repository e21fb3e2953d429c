"""Sends notifications to the service as Apple does: one after the other, again by its schedule."""

import asyncio
import json
import logging
import sqlite3
from typing import Any

import aiohttp

from boxoffice_sandbox.app_store.records import Records
from boxoffice_sandbox.app_store.service_clock import ServiceClock
from boxoffice_sandbox.app_store.shop import Shop
from boxoffice_sandbox.clock import Clock
from boxoffice_sandbox.errors import invalid_request

Json = dict[str, Any]

_TIMEOUT = aiohttp.ClientTimeout(total=20)
_HOUR = 3_600_000
# https://developer.apple.com/documentation/appstoreservernotifications/responding-to-app-store-server-notifications
_SUCCESS = range(200, 207)
_LONGEST_WAIT_SECONDS = 30.0
# The service may start after the sandbox, and gets what is pending when it is there.
_START_PAUSE_SECONDS = 0.5
_START_PATIENCE_SECONDS = 30.0

_log = logging.getLogger(__name__)


class Deliverer:
    """One task that sends what is due and lets happen what is due."""

    def __init__(self, shop: Shop, clock: Clock, service_clock: ServiceClock) -> None:
        """Take what there is to send, and the time by which it is."""
        self._shop = shop
        self._records: Records = shop.records
        self._clock = clock
        self._service_clock = service_clock
        self._news = asyncio.Event()
        self._session: aiohttp.ClientSession | None = None
        self._task: asyncio.Task[None] | None = None
        self._patient_until = 0.0
        shop.on_change = self._news.set

    @property
    def session(self) -> aiohttp.ClientSession:
        """The client by which the service is reached."""
        if self._session is None:
            raise RuntimeError("the deliverer isn't started")
        return self._session

    async def start(self) -> None:
        """Open the client, and go on where a former process stopped."""
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        self._patient_until = asyncio.get_running_loop().time() + _START_PATIENCE_SECONDS
        self._task = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Stop; what is pending stays so in the file."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _work(self) -> None:
        while True:
            self._news.clear()
            try:
                self._shop.catch_up()
                wait = await self._send_due()
            except Exception:  # noqa: BLE001  (one that can't be sent must not end them all)
                _log.exception("an App Store delivery broke")
                wait = _LONGEST_WAIT_SECONDS
            try:
                async with asyncio.timeout(wait):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _send_due(self) -> float:
        """Send everything that is due; return for how many seconds there is nothing to do."""
        row = self._next()
        if self._service_clock.matters or self._is_due(row):
            await self._service_clock.catch_up(self.session)
            patient = asyncio.get_running_loop().time() < self._patient_until
            if self._service_clock.is_away and self._shop.settings.service_url and patient:
                return _START_PAUSE_SECONDS
        while row is not None and self._is_due(row):
            await self._attempt(row)
            row = self._next()
        now = self._clock.now_milliseconds()
        dues = [self._shop.next_due(), None if row is None else int(row["due"])]
        waits = [(due - now) / 1000 for due in dues if due is not None]
        return min([_LONGEST_WAIT_SECONDS, *(max(wait, 0.01) for wait in waits)])

    def _is_due(self, row: sqlite3.Row | None) -> bool:
        return row is not None and int(row["due"]) <= self._clock.now_milliseconds()

    def _next(self) -> sqlite3.Row | None:
        """Return what is due, in its turn, else what is due next."""
        return self._records.store.row(
            "SELECT * FROM app_store_deliveries WHERE state = 'pending' "
            "ORDER BY due > ?, CASE WHEN due > ? THEN due ELSE turn END LIMIT 1",
            (self._clock.now_milliseconds(), self._clock.now_milliseconds()),
        )

    async def _attempt(self, row: sqlite3.Row) -> None:
        """Send a notification once, and decide what is next for it."""
        notification = self._records.notification(row["uuid"])
        if notification is None:
            raise LookupError(row["uuid"])
        result = await self._post(notification["payload"])
        now = self._clock.now_milliseconds()
        sends = [*json.loads(row["sends"]), {"attemptDate": now, "sendAttemptResult": result}]
        pauses = self._shop.settings.pauses(notification["environment"])
        state, due = "delivered", int(row["due"])
        if result != "SUCCESS":
            again = len(sends) <= len(pauses)
            state = "pending" if again else "failed"
            due = now + round(pauses[len(sends) - 1] * _HOUR) if again else due
        self._records.store.run(
            "UPDATE app_store_deliveries SET state = ?, due = ?, sends = ? WHERE id = ?",
            (state, due, json.dumps(sends), row["id"]),
        )

    async def _post(self, payload: str) -> str:
        """Post a payload; return the result in Apple's words."""
        url = f"{self._shop.settings.service_url.rstrip('/')}/webhooks/app-store"
        try:
            async with self.session.post(
                url, json={"signedPayload": payload}, allow_redirects=False
            ) as response:
                await response.read()
                accepted = response.status in _SUCCESS
                return "SUCCESS" if accepted else "UNSUCCESSFUL_HTTP_RESPONSE_CODE"
        except TimeoutError:
            return "TIMED_OUT"
        except aiohttp.ClientConnectorError:
            return "NO_RESPONSE"
        except aiohttp.ServerDisconnectedError:
            return "PREMATURE_CLOSE"
        except (aiohttp.ClientError, ValueError):
            return "OTHER"

    def release(self, order: str | list[Any]) -> list[str]:
        """Send what is held, in the given order, after everything that is pending."""
        rows = self._records.store.rows(
            "SELECT id, uuid FROM app_store_deliveries WHERE state = 'held' ORDER BY id"
        )
        chosen = _ordered([(row["id"], row["uuid"]) for row in rows], order)
        with self._records.store.transaction():
            for number, _ in chosen:
                self._records.store.run(
                    "UPDATE app_store_deliveries SET state = 'pending', due = ?, "
                    "turn = (SELECT max(turn) + 1 FROM app_store_deliveries) WHERE id = ?",
                    (self._clock.now_milliseconds(), number),
                )
        self._news.set()
        return [name for _, name in chosen]

    def redeliver(self, name: str) -> int:
        """Send a notification again, whatever became of it before."""
        if self._records.notification(name) is None:
            raise invalid_request(f"No such notification: {name}", status=404)
        if not self._shop.settings.service_url:
            raise invalid_request("There is no service_url to send it to.")
        now = self._clock.now_milliseconds()
        number = self._records.add_delivery(name, state="pending", due=now)
        self._news.set()
        return number

    def retry(self) -> None:
        """Attempt everything that is pending now."""
        self._records.store.run(
            "UPDATE app_store_deliveries SET due = min(due, ?) WHERE state = 'pending'",
            (self._clock.now_milliseconds(),),
        )
        self._news.set()


def _ordered(held: list[tuple[int, str]], order: str | list[Any]) -> list[tuple[int, str]]:
    if order == "fifo":
        return held
    if order == "reverse":
        return held[::-1]
    if isinstance(order, str):
        raise invalid_request("order must be fifo, reverse or a list of notification UUIDs.")
    by_name = {name: number for number, name in held}
    unknown = [name for name in order if name not in by_name]
    if unknown:
        raise invalid_request(f"Not held: {', '.join(map(str, unknown))}")
    return [(by_name[name], name) for name in order]

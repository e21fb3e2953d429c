"""Moves the sandbox's clock: first everyone who listens is told, then what is due happens."""

import asyncio
from typing import Any

from boxoffice_sandbox.accounts import Account
from boxoffice_sandbox.app_store.server import AppStore
from boxoffice_sandbox.errors import StripeError, invalid_request
from boxoffice_sandbox.scope import API_VERSION
from boxoffice_sandbox.scopes import Scopes
from boxoffice_sandbox.stripe import passing_time

Json = dict[str, Any]

_BAD_GATEWAY = 502


class Passage:
    """The passing of time, on demand, at all vendors at once."""

    def __init__(self, *, scopes: Scopes, app_store: AppStore) -> None:
        """Take the vendors."""
        self._scopes = scopes
        self._app_store = app_store
        self._moving = asyncio.Lock()

    def time(self) -> Json:
        """Tell the virtual time."""
        clock = self._scopes.clock
        return {"now": clock.now(), "offset_seconds": clock.offset_seconds}

    async def advance(self, seconds: int, address: str) -> Json:
        """Move the clock by so many seconds, and return the time with what went wrong."""
        if seconds <= 0:
            message = "advance_seconds must be a positive number: the clock only moves forward."
            raise invalid_request(message)
        async with self._moving:
            return await self._advance(seconds, address)

    async def _advance(self, seconds: int, address: str) -> Json:
        clock = self._scopes.clock
        offset = clock.offset_seconds + seconds
        for account in self._scopes.accounts.all():
            refusal = await self._tell(account, offset)
            if refusal is not None:
                message = f"{account.webhook_url} did not take the new time: {refusal}"
                raise StripeError(_BAD_GATEWAY, {"message": message})
        warning = await self._app_store.tell_time(offset)
        clock.offset_seconds = offset
        self._scopes.store.set_setting("clock_offset", str(offset))
        for account in self._scopes.accounts.all():
            with self._scopes.of(account, address) as scope:
                passing_time.catch_up(scope)
        self._app_store.catch_up()
        self._scopes.sender.retry()
        return self.time() | ({} if warning is None else {"warning": warning})

    async def _tell(self, account: Account, offset: int) -> str | None:
        """Send the new offset to an account's listener, signed at the old time."""
        objects = self._scopes.store.row(
            "SELECT 1 FROM objects WHERE account = ? LIMIT 1", (account.name,)
        )
        if not account.webhook_url or objects is None:
            return None
        event = {
            "id": self._scopes.accounts.new_id(account, "evt_1"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self._scopes.clock.now(),
            "data": {"object": {"object": "clock", "offset_seconds": offset}},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": "boxoffice.sandbox.clock_advanced",
        }
        accepted, answer = await self._scopes.sender.post(account, event)
        return None if accepted else answer

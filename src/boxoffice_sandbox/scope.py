"""One request's view of one account: its objects, its clock, its ids and the events it emits."""

import copy
import json
from dataclasses import dataclass
from typing import Any

from boxoffice_sandbox.accounts import Account, Accounts, WebhookMode
from boxoffice_sandbox.errors import missing
from boxoffice_sandbox.store import Store

Json = dict[str, Any]

API_VERSION = "2026-08-26.dahlia"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What an endpoint works with; everything it does is part of the request's transaction.

    `request_id` and `idempotency_key` are None where no API request is behind the change, such
    as a redirect that a customer completes: Stripe's events say so too.
    """

    store: Store
    accounts: Accounts
    account: Account
    now: int
    base_url: str
    request_id: str | None = None
    idempotency_key: str | None = None
    publishable: bool = False

    def new_id(self, prefix: str, length: int = 24) -> str:
        """Make the next id."""
        return self.accounts.new_id(self.account, prefix, length)

    def find(self, kind: str, object_id: str) -> Json | None:
        """Return an object by id, or None when there is none of that kind."""
        found = self.store.find(object_id, account=self.account.name)
        return found if found is not None and found["object"] == kind else None

    def get(self, kind: str, object_id: str, *, param: str, status: int = 400) -> Json:
        """Return an object by id; `resource_missing` when there is none (404 for a path's id)."""
        found = self.find(kind, object_id)
        if found is None:
            raise missing(kind, object_id, param=param, status=status)
        return found

    def save(self, data: Json) -> Json:
        """Write an object."""
        self.store.save(data, account=self.account.name)
        return data

    def hidden(self, object_id: str) -> Json:
        """Return what isn't shown of an object."""
        return self.store.hidden(object_id)

    def hide(self, object_id: str, **changes: object) -> None:
        """Add to what isn't shown of an object."""
        self.store.hide(object_id, {**self.store.hidden(object_id), **changes})

    def emit(self, event_type: str, data: Json, previous: Json | None = None) -> Json:
        """Record an event with a snapshot of its object, and queue its delivery."""
        contents: Json = {"object": copy.deepcopy(data)}
        if previous is not None:
            contents["previous_attributes"] = previous
        event: Json = {
            "id": self.new_id("evt_1"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now,
            "data": contents,
            "livemode": False,
            "pending_webhooks": 1 if self.account.webhook_url else 0,
            "request": {"id": self.request_id, "idempotency_key": self.idempotency_key},
            "type": event_type,
        }
        self.save(event)
        self._queue(event["id"])
        return event

    def _queue(self, event_id: str) -> None:
        account = self.account
        if not account.webhook_url:
            return
        state = {WebhookMode.HOLD: "held", WebhookMode.DROP: "dropped"}.get(
            account.webhook_mode, "pending"
        )
        copies = 2 if account.webhook_mode is WebhookMode.DUPLICATE else 1
        for _ in range(copies):
            self.store.run(
                "INSERT INTO deliveries (account, event, batch, state, delay_seconds) "
                "VALUES (?, ?, ?, ?, ?)",
                (
                    account.name,
                    event_id,
                    self.request_id or event_id,
                    state,
                    account.webhook_delay_seconds,
                ),
            )

    def latest(self, kind: str, **conditions: str) -> list[Json]:
        """Return an account's objects of a kind, newest first, filtered by indexed columns."""
        clauses = "".join(f" AND {column} = ?" for column in conditions)
        rows = self.store.rows(
            f"SELECT data FROM objects WHERE account = ? AND kind = ?{clauses} "  # noqa: S608
            "ORDER BY position DESC",
            (self.account.name, kind, *conditions.values()),
        )
        return [json.loads(row["data"]) for row in rows]

"""Opens scopes for what isn't an API request: control calls, pages and the passing of time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from boxoffice_sandbox.accounts import Account, Accounts
from boxoffice_sandbox.clock import Clock
from boxoffice_sandbox.errors import missing
from boxoffice_sandbox.scope import Scope
from boxoffice_sandbox.store import Store
from boxoffice_sandbox.webhooks import WebhookSender

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scopes:
    """The parts of the sandbox that all of its doors share."""

    store: Store
    accounts: Accounts
    clock: Clock
    sender: WebhookSender

    @contextmanager
    def of(self, account: Account, base_url: str) -> Iterator[Scope]:
        """Open one account for one transaction; its events go out afterwards."""
        with self.store.transaction():
            yield Scope(
                store=self.store,
                accounts=self.accounts,
                account=account,
                now=self.clock.now(),
                base_url=base_url,
            )
        self.sender.wake()

    @contextmanager
    def owning(self, kind: str, object_id: str, base_url: str) -> Iterator[tuple[Scope, Json]]:
        """Open the account that has an object, whichever it is."""
        owner = self.store.owner(object_id)
        if owner is None:
            raise missing(kind, object_id, param="id", status=404)
        with self.of(self.accounts.by_name(owner), base_url) as scope:
            yield scope, scope.get(kind, object_id, param="id", status=404)

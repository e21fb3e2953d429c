"""Idempotency keys as Stripe keeps them: the first result of a POST, for at least 24 hours."""

import hashlib
import json
from dataclasses import dataclass

from boxoffice_sandbox.errors import idempotency_error, key_in_use
from boxoffice_sandbox.store import Store

LONGEST_KEY = 255
_KEPT_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response: what is stored under a key and replayed byte for byte."""

    status: int
    body: bytes
    headers: dict[str, str]
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A request that carries a key: the account's name, the key, and what was asked."""

    account: str
    key: str
    method: str
    path: str
    fingerprint: str


def claim(*, account: str, key: str, method: str, path: str, body: bytes) -> Claim:
    """Take the raw parameters: two spellings of one request are two requests to Stripe."""
    if len(key) > LONGEST_KEY:
        message = "Idempotency keys can be at most 255 characters long."
        raise idempotency_error(message)
    fingerprint = hashlib.sha256(body).hexdigest()
    return Claim(account=account, key=key, method=method, path=path, fingerprint=fingerprint)


class IdempotencyKeys:
    """The keys of all accounts. Those in flight live in memory: a crash ends their requests."""

    def __init__(self, store: Store) -> None:
        """Start with nothing in flight."""
        self._store = store
        self._in_flight: set[tuple[str, str]] = set()

    def begin(self, request: Claim, *, now: int) -> Answer | None:
        """Return the stored answer, or hold the key until `end`.

        Raises Stripe's errors for a key in flight and for one used for another request.
        """
        if (request.account, request.key) in self._in_flight:
            raise key_in_use(request.key)
        row = self._store.row(
            "SELECT * FROM idempotency WHERE account = ? AND key = ?",
            (request.account, request.key),
        )
        if row is None or row["created"] <= now - _KEPT_SECONDS:
            self._in_flight.add((request.account, request.key))
            return None
        if (row["method"], row["path"]) != (request.method, request.path):
            message = (
                "Keys for idempotent requests can only be used for the same endpoint they were "
                f"first used for ('{row['path']}' instead of '{request.path}'). Try using a key "
                f"other than '{request.key}' if you meant to execute a different request."
            )
            raise idempotency_error(message)
        if row["fingerprint"] != request.fingerprint:
            message = (
                "Keys for idempotent requests can only be used with the same parameters they "
                f"were first used with. Try using a key other than '{request.key}' if you meant "
                "to execute a different request."
            )
            raise idempotency_error(message)
        return Answer(
            status=row["status"],
            body=row["body"],
            headers=json.loads(row["headers"]),
            request_id=row["request_id"],
        )

    def keep(self, request: Claim, answer: Answer, *, now: int) -> None:
        """Store an answer, in the transaction of what it answers."""
        self._store.run(
            "INSERT OR REPLACE INTO idempotency (account, key, method, path, fingerprint, "
            "created, request_id, status, headers, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                request.account,
                request.key,
                request.method,
                request.path,
                request.fingerprint,
                now,
                answer.request_id,
                answer.status,
                json.dumps(answer.headers),
                answer.body,
            ),
        )

    def end(self, request: Claim) -> None:
        """Let the key go."""
        self._in_flight.discard((request.account, request.key))

"""Faults on demand: what goes wrong with which requests, and how often."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from boxoffice_sandbox.errors import (
    StripeError,
    invalid_api_key,
    lock_timeout,
    rate_limited,
    server_error,
)
from boxoffice_sandbox.store import Store

Json = dict[str, Any]


class FaultKind(StrEnum):
    """What goes wrong."""

    LATENCY = "latency"
    STATUS = "status"
    RESET_BEFORE = "reset_before"
    RESET_AFTER = "reset_after"
    TRUNCATE = "truncate"
    LATE = "late"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault.

    latency: waits, then works. late: works, then waits. status: answers an error, before the
    work or (`processed`) after it; `stored` keeps that error under the idempotency key, as
    Stripe does when the endpoint itself failed, otherwise the key keeps what the work came to
    (and nothing when there was none). A 429 asks to wait for `seconds`. reset_before,
    reset_after: the connection breaks. truncate: half the body, then the connection breaks.

    `path` is the beginning of the paths it strikes, or a pattern of the whole path when there
    is a `*` in it, such as `/v1/payment_intents/*/capture`. At the App Store paths start with
    `/inApps`, or are `/ocsp`, and there is no account.
    """

    kind: FaultKind
    account: str | None = None
    method: str | None = None
    path: str = "/"
    status: int = 500
    seconds: float = 0
    processed: bool = False
    stored: bool = False
    times: int = 1

    def matches(self, *, account: str, method: str, path: str) -> bool:
        """Tell whether the fault strikes this request."""
        struck = fnmatchcase(path, self.path) if "*" in self.path else path.startswith(self.path)
        return struck and self.account in (None, account) and self.method in (None, method)

    def error(self) -> StripeError:
        """Return the error that a `status` fault answers."""
        match self.status:
            case 401:
                return invalid_api_key(self.account or "sk_test_boxoffice_expired")
            case 409:
                return lock_timeout()
            case 429:
                return rate_limited(max(1, round(self.seconds)))
        return server_error(self.status)


class Faults:
    """The faults that are still to strike, oldest first."""

    def __init__(self, store: Store) -> None:
        """Read what a former process left."""
        self._store = store
        self._active: dict[int, Fault] = {}
        for row in store.rows("SELECT * FROM faults ORDER BY id"):
            data = {**json.loads(row["data"]), "times": row["remaining"]}
            self._active[row["id"]] = Fault(**{**data, "kind": FaultKind(data["kind"])})

    def add(self, fault: Fault) -> int:
        """Arm a fault and return its number."""
        number = self._store.run(
            "INSERT INTO faults (data, remaining) VALUES (?, ?)",
            (json.dumps(asdict(fault)), fault.times),
        )
        self._active[number] = fault
        return number

    def all(self) -> list[Json]:
        """Return the armed faults with how often each will still strike."""
        return [{"id": number, **asdict(fault)} for number, fault in self._active.items()]

    def clear(self) -> None:
        """Disarm all."""
        self._store.run("DELETE FROM faults")
        self._active.clear()

    def strike(self, *, account: str, method: str, path: str) -> Fault | None:
        """Return the first fault for this request and count it down."""
        for number, fault in self._active.items():
            if fault.matches(account=account, method=method, path=path):
                self._count_down(number, fault)
                return fault
        return None

    def _count_down(self, number: int, fault: Fault) -> None:
        left = fault.times - 1
        if left == 0:
            del self._active[number]
            self._store.run("DELETE FROM faults WHERE id = ?", (number,))
            return
        self._active[number] = Fault(**{**asdict(fault), "times": left})
        self._store.run("UPDATE faults SET remaining = ? WHERE id = ?", (left, number))

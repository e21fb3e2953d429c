"""Accounts: one for every key that starts `sk_test_boxoffice_`, made on first use."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from boxoffice_sandbox.errors import invalid_api_key, no_api_key
from boxoffice_sandbox.store import Store

DEFAULT_WEBHOOK_SECRET = "whsec_boxoffice_sandbox"  # noqa: S105  (the documented test secret)
DEFAULT_SERVICE_KEY = "sk_test_boxoffice_default"
_KEY = re.compile(r"(sk|pk)_test_boxoffice_([A-Za-z0-9_-]{1,64})")
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class WebhookMode(StrEnum):
    """What happens to the events of an account."""

    NORMAL = "normal"
    HOLD = "hold"
    DROP = "drop"
    DUPLICATE = "duplicate"
    REVERSE = "reverse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account: its switches, and where its webhooks go."""

    name: str
    legacy: bool
    webhook_url: str
    webhook_secret: str
    webhook_mode: WebhookMode = WebhookMode.NORMAL
    webhook_delay_seconds: float = 0

    @property
    def key(self) -> str:
        """The secret key."""
        return f"sk_test_boxoffice_{self.name}"

    @property
    def id(self) -> str:
        """Stripe's id of the account, made from its name."""
        return f"acct_1{_base62(self.name.encode(), 15)}"


class Accounts:
    """The accounts in the store, and the ids they hand out.

    An id is made of the seed, the account and a counter, so the same script gives the same ids
    in every account whatever the others do.
    """

    def __init__(self, store: Store, *, seed: str, webhook_url: str, webhook_secret: str) -> None:
        """Take the address and secret that new accounts start with."""
        self._store = store
        self._seed = seed
        self._webhook_url = webhook_url
        self._webhook_secret = webhook_secret

    def by_key(self, key: str) -> tuple[Account, bool]:
        """Return a key's account, and whether the key is the publishable one."""
        if not key:
            raise no_api_key()
        match = _KEY.fullmatch(key)
        if match is None:
            raise invalid_api_key(key)
        return self.by_name(match[2]), match[1] == "pk"

    def by_name(self, name: str) -> Account:
        """Return an account; it is there from the first time somebody asks for it."""
        row = self._store.row("SELECT data FROM accounts WHERE name = ?", (name,))
        changes: dict[str, Any] = {} if row is None else json.loads(row["data"])
        if row is None:
            self._store.run("INSERT INTO accounts (name, data) VALUES (?, '{}')", (name,))
        if "webhook_mode" in changes:
            changes["webhook_mode"] = WebhookMode(changes["webhook_mode"])
        defaults = Account(
            name=name,
            legacy=name == "default",
            webhook_url=self._webhook_url,
            webhook_secret=self._webhook_secret,
        )
        return replace(defaults, **changes)

    def all(self) -> list[Account]:
        """Return the accounts that were used so far, by name."""
        rows = self._store.rows("SELECT name FROM accounts ORDER BY name")
        return [self.by_name(row["name"]) for row in rows]

    def change(self, name: str, **changes: object) -> Account:
        """Set fields of an account; the others keep following the defaults."""
        before = self.by_name(name)
        after = replace(before, **changes)  # type: ignore[arg-type]  # callers name fields
        row = self._store.row("SELECT data FROM accounts WHERE name = ?", (name,))
        kept: dict[str, Any] = {} if row is None else json.loads(row["data"])
        kept |= {field: value for field, value in asdict(after).items() if field in changes}
        self._store.run("UPDATE accounts SET data = ? WHERE name = ?", (json.dumps(kept), name))
        return after

    def new_id(self, account: Account, prefix: str, length: int = 24) -> str:
        """Make the account's next id, such as `pi_3Q...`."""
        row = self._store.row(
            "UPDATE accounts SET counter = counter + 1 WHERE name = ? RETURNING counter",
            (account.name,),
        )
        if row is None:
            raise LookupError(account.name)
        text = f"{self._seed}\0{account.name}\0{row['counter']}"
        return prefix + _base62(text.encode(), length)


def _base62(text: bytes, length: int) -> str:
    number = int.from_bytes(hashlib.sha512(text).digest(), "big")
    letters = []
    for _ in range(length):
        number, index = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[index])
    return "".join(letters)

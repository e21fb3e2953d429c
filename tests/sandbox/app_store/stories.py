"""Stories of subscriptions for tests: the pure model, driven by dates."""

import datetime as dt
from collections.abc import Callable
from itertools import count
from typing import Any

from boxoffice_sandbox.app_store import passing, purchases
from boxoffice_sandbox.app_store.catalogue import Product, default_products
from boxoffice_sandbox.app_store.life import Moment, Notice
from boxoffice_sandbox.app_store.subscription import Subscription

Json = dict[str, Any]


def at(text: str) -> int:
    """A moment of 2025 in milliseconds, from `MMDD` or `MMDDThh`."""
    day, _, hour = text.partition("T")
    moment = dt.datetime(2025, int(day[:2]), int(day[2:]), int(hour or 0), tzinfo=dt.UTC)
    return int(moment.timestamp()) * 1000


def day(moment: int) -> str:
    """The inverse of `at`, with an hour where there is one."""
    shown = dt.datetime.fromtimestamp(moment / 1000, dt.UTC)
    return shown.strftime("%m%dT%H" if shown.hour else "%m%d")


class Story:
    """Subscriptions, and everything that Apple told of them."""

    def __init__(self, *more: Product, early: int = 0) -> None:
        self.products = {product.id: product for product in (*default_products(), *more)}
        self.early = early
        self.notices: list[Notice] = []
        self._numbers = count(2_000_000_000_000_001)

    def moment(self, now: int) -> Moment:
        """A moment that tells this story."""
        return Moment(
            now=now,
            products=self.products,
            new_id=lambda _environment: str(next(self._numbers)),
            notices=self.notices,
        )

    def buy(self, when: str, product: str, *, offer: str | None = None) -> Subscription:
        """Somebody subscribes in the sandbox environment."""
        return purchases.buy(self.moment(at(when)), product, environment="Sandbox", offer=offer)

    def do(self, when: str, act: Callable[..., Any], *words: Any, **given: Any) -> Any:  # noqa: ANN401
        """Somebody does something."""
        return act(self.moment(at(when)), *words, **given)

    def until(self, when: str, *found: Subscription) -> None:
        """Time passes, and what is due happens."""
        while True:
            dues = [(passing.due(it, self.products, early=self.early), it) for it in found]
            open_ones = [(due, it) for due, it in dues if due is not None and due <= at(when)]
            if not open_ones:
                return
            due, first = min(open_ones, key=lambda pair: pair[0])
            passing.happen(self.moment(due), first)

    @property
    def told(self) -> list[str]:
        """The notifications in their order, such as `0101 SUBSCRIBED/INITIAL_BUY`."""
        return [
            f"{day(notice.at)} {notice.type}" + (f"/{notice.subtype}" if notice.subtype else "")
            for notice in self.notices
        ]

    @property
    def periods(self) -> list[str]:
        """The periods that were told of, such as `premium_monthly:0101-0201`."""
        shown = []
        for notice in self.notices:
            fields = notice.transaction
            assert fields is not None
            dates = f"{day(fields['purchaseDate'])}-{day(fields['expiresDate'])}"
            shown.append(f"{fields['productId']}:{dates}")
        return shown

    @property
    def last(self) -> Notice:
        """What was told last."""
        return self.notices[-1]

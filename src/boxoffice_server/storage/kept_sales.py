"""Payments and their orders as this process has just recorded them.

What a payment is made for is recorded before its vendor is asked, and again when the vendor has
answered, mostly by the same process. So the second transaction need not read what the first one has
written: it takes it from here, and PostgreSQL checks by the rows' xmin that they still are as that
transaction left them. Whoever adds a fact to a payment writes its row, so its facts are too.
"""

from collections import OrderedDict
from dataclasses import dataclass

from boxoffice_server.domain.order import Order
from boxoffice_server.domain.payment import Payment
from boxoffice_server.storage.session import ONE, RefusedError, Write

# About 5 kB each.
MOST = 1000

_PAYMENT = "SELECT 1 FROM payments WHERE id = $1 AND xmin = $2 FOR NO KEY UPDATE"
# PostgreSQL locks them in the order of FROM, the order first as everywhere: see rows.lock_rows.
_BOTH = (
    "SELECT 1 FROM orders, payments"
    " WHERE orders.id = $3 AND orders.xmin = $2 AND payments.id = $1 AND payments.xmin = $2"
    " FOR NO KEY UPDATE"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSale:
    """A payment that has no facts yet and its order, if any, and which transaction wrote both."""

    payment: Payment
    order: Order | None
    writer: int

    @property
    def order_id(self) -> str:
        """Name the order, if any."""
        return "" if self.order is None else self.order.id

    def lock(self) -> Write:
        """Make what locks both, and fails the transaction unless they are still the same."""
        payment, order = self.payment, self.order
        more = () if order is None else (order.id,)
        return Write(
            sql=_PAYMENT if order is None else _BOTH,
            arguments=(payment.id, self.writer, *more),
            row=("sales", payment.id),
            tell=_check_locked,
            must=ONE,
            first=True,
        )


class KeptSales:
    """The last of them; each is given out once."""

    def __init__(self) -> None:
        self._sales: OrderedDict[str, KeptSale] = OrderedDict()

    def keep(self, sale: KeptSale) -> None:
        """Keep one, and let go of the oldest where there are too many."""
        self._sales[sale.payment.id] = sale
        if len(self._sales) > MOST:
            self._sales.popitem(last=False)

    def take(self, payment_id: str) -> KeptSale | None:
        """Give one out. Whoever finds that it has changed reads it the next time."""
        return self._sales.pop(payment_id, None)


def _check_locked(count: int) -> None:
    if count != 1:
        raise RefusedError

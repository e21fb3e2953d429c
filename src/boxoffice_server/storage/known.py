"""What a process knows of its PostgreSQL without reading: products, and sales it has just recorded.

Whatever is taken from here is checked with what the transaction writes: by its xmin, PostgreSQL
tells whether a row still is as a certain transaction left it. If not, or if the transaction fails
before it could be checked, it is run again and reads.
"""

from dataclasses import dataclass, field
from functools import partial

from boxoffice_server.domain.order import Order
from boxoffice_server.domain.payment import Payment
from boxoffice_server.domain.product import Product
from boxoffice_server.latest import Latest
from boxoffice_server.storage.session import ONE, RefusedError, Write

# How many of each are kept, at 5 kB or so.
MOST = 1000

_PRODUCT = "SELECT 1 FROM products WHERE id = $1 AND xmin = $2"
_PAYMENT = "SELECT 1 FROM payments WHERE id = $1 AND xmin = $2 FOR NO KEY UPDATE"
# PostgreSQL locks them in the order of FROM, the order first as everywhere: see rows.lock_rows.
_BOTH = (
    "SELECT 1 FROM orders, payments"
    " WHERE orders.id = $3 AND orders.xmin = $2 AND payments.id = $1 AND payments.xmin = $2"
    " FOR NO KEY UPDATE"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownProduct:
    """A product, and which transaction wrote its row."""

    product: Product
    writer: int

    def check(self) -> Write:
        """Make what fails the transaction unless the product is still the same."""
        return _check(_PRODUCT, "product", self.product.id, self.writer)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSale:
    """A payment that has no facts yet and its order, if any, and which transaction wrote both.

    What a payment is made for is recorded before its vendor is asked, and again when the vendor has
    answered, mostly by the same process. Whoever adds a fact to a payment writes its row too.
    """

    payment: Payment
    order: Order | None
    writer: int

    @property
    def order_id(self) -> str:
        """Name the order, if any."""
        return "" if self.order is None else self.order.id

    def lock(self) -> Write:
        """Make what locks both, and fails the transaction unless they are still the same."""
        if self.order is None:
            return _check(_PAYMENT, "sale", self.payment.id, self.writer)
        return _check(_BOTH, "sale", self.payment.id, self.writer, self.order.id)


@dataclass(frozen=True, slots=True)
class Known:
    """All that a process knows. A sale is given out once: it has changed after that."""

    products: Latest[KnownProduct] = field(default_factory=partial(Latest, MOST))
    sales: Latest[KnownSale] = field(default_factory=partial(Latest, MOST))

    def forget(self) -> None:
        """Let go of all, after something of it was wrong, or where the database may be another."""
        self.products.clear()
        self.sales.clear()


def _check(sql: str, kind: str, id_: str, *arguments: int | str) -> Write:
    return Write(
        sql=sql,
        arguments=(id_, *arguments),
        row=(kind, id_),
        tell=_check_found,
        must=ONE,
        first=True,
    )


def _check_found(count: int) -> None:
    if count != 1:
        raise RefusedError

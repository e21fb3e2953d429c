"""Products in SQL."""

from functools import cache

from sqlalchemy import BigInteger, bindparam, delete, insert, literal_column, select

from boxoffice_server.domain.product import Product
from boxoffice_server.latest import Latest
from boxoffice_server.storage.codecs import from_product, tag_rows, to_product
from boxoffice_server.storage.known import KnownProduct
from boxoffice_server.storage.rows import (
    Statement,
    insert_row,
    newest_first,
    one_row,
    update_row,
)
from boxoffice_server.storage.session import Session
from boxoffice_server.storage.tables import product_tags, products

_WRITER = literal_column("products.xmin::text::bigint", BigInteger).label("writer")


@cache
def _with_writer(dialect: str) -> Statement:
    answers = (*products.c, _WRITER)
    query = select(*answers).where(products.c.id == bindparam("id"))
    return Statement(dialect, query, answers=answers, of=products.name)


class SqlProducts:
    """Implements ports.ProductRepository."""

    def __init__(self, session: Session, known: Latest[KnownProduct] | None = None) -> None:
        self._session = session
        self._known = known

    def insert(self, product: Product) -> None:
        insert_row(self._session, products, from_product(product))
        self._insert_tags(product)

    def get(self, product_id: str, *, lock: bool = False) -> Product | None:
        row = one_row(self._session, products, lock=lock, id=product_id)
        return None if row is None else to_product(row)

    def on_sale(self, product_id: str) -> Product | None:
        if self._known is None:
            return self.get(product_id)
        known = self._known.get(product_id)
        if known is not None:
            self._session.write(known.check())
            return known.product
        row = _with_writer(self._session.dialect).row(self._session, {"id": product_id})
        if row is None:
            return None
        product = to_product(row)
        self._known.keep(product_id, KnownProduct(product=product, writer=row["writer"]))
        return product

    def update(self, product: Product) -> None:
        update_row(self._session, products, from_product(product), "id")
        gone = delete(product_tags).where(product_tags.c.product_id == product.id)
        self._session.connection.execute(gone)
        self._insert_tags(product)

    def find(self, *, tag: str, before_id: str, limit: int) -> list[Product]:
        wanted = [products.c.delete_time.is_(None)]
        if tag:
            tagged = select(product_tags.c.product_id).where(product_tags.c.tag == tag)
            wanted.append(products.c.id.in_(tagged))
        rows = newest_first(
            self._session,
            select(products),
            key=products.c.id,
            before=before_id,
            limit=limit,
            wanted=wanted,
        )
        return [to_product(row) for row in rows]

    def _insert_tags(self, product: Product) -> None:
        if rows := tag_rows("product_id", product.id, product.tags):
            self._session.connection.execute(insert(product_tags), rows)

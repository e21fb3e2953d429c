"""Products in SQL."""

from sqlalchemy import delete, insert, select

from boxoffice_server.domain.product import Product
from boxoffice_server.storage.codecs import from_product, tag_rows, to_product
from boxoffice_server.storage.rows import insert_row, newest_first, one_row, update_row
from boxoffice_server.storage.session import Session
from boxoffice_server.storage.tables import product_tags, products


class SqlProducts:
    """Implements ports.ProductRepository."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def insert(self, product: Product) -> None:
        insert_row(self._session, products, from_product(product))
        self._insert_tags(product)

    def get(self, product_id: str, *, lock: bool = False) -> Product | None:
        row = one_row(self._session, products, lock=lock, id=product_id)
        return None if row is None else to_product(row)

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

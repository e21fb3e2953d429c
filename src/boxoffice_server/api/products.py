"""The product methods of OrdersService."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice_server.api import convert
from boxoffice_server.api.context import Context
from boxoffice_server.api.pages import read_page
from boxoffice_server.api.requests import Faults
from boxoffice_server.api.writes import Writes
from boxoffice_server.domain.errors import BoxofficeError, FieldViolation, Reason
from boxoffice_server.domain.ids import Prefix, new_id
from boxoffice_server.domain.product import Product, product_violations
from boxoffice_server.ports import Clock, Repository, Store


class ProductMethods:
    """Keeps the catalogue of what is sold."""

    def __init__(self, *, store: Store, clock: Clock, writes: Writes) -> None:
        self._store = store
        self._clock = clock
        self._writes = writes

    async def CreateProduct(
        self, request: pb.CreateProductRequest, context: Context
    ) -> pb.CreateProductResponse:
        faults = Faults()
        faults.request_id(request.request_id)
        key = self._writes.key(request.request_id, "CreateProduct", context)
        now = self._clock.now()
        message = request.product
        product = Product(
            id=new_id(Prefix.PRODUCT, now),
            name=message.name,
            prices=tuple(convert.from_money(price) for price in message.prices),
            schema=convert.from_schema(message.schema),
            task_function_name=message.task_function_name,
            task_priority=message.task_priority,
            tags=tuple(message.tags),
            created_by=key.caller,
            version=1,
            create_time=now,
            update_time=now,
        )
        faults.extend(product_violations(product))
        faults.refuse()

        def create(repo: Repository) -> pb.CreateProductResponse:
            repo.products.insert(product)
            repo.log.append(product)
            return pb.CreateProductResponse(
                product=convert.to_product(product), resume_token=repo.log.here().encode()
            )

        return await self._writes.once(key, request, pb.CreateProductResponse, create)

    async def GetProduct(
        self, request: pb.GetProductRequest, context: Context
    ) -> pb.GetProductResponse:
        del context
        faults = Faults()
        faults.id(request.product_id, "product_id")
        faults.refuse()
        product = await self._store.read(lambda repo: repo.products.get(request.product_id))
        if product is None or product.delete_time is not None:
            raise product_not_found(request.product_id)
        return pb.GetProductResponse(product=convert.to_product(product))

    async def ListProducts(
        self, request: pb.ListProductsRequest, context: Context
    ) -> pb.ListProductsResponse:
        del context
        faults = Faults()
        faults.page_size(request.page_size)
        faults.optional_tag(request.tag, "tag")
        faults.refuse()
        page = read_page(request, page_size=request.page_size, page_token=request.page_token)

        def load(repo: Repository) -> tuple[str, list[Product]]:
            token = repo.log.bounds().head_token().encode()
            return token, repo.products.find(
                tag=request.tag, before_id=page.before_id, limit=page.fetch
            )

        token, loaded = await self._store.read(load)
        products, next_page_token = page.cut(loaded)
        return pb.ListProductsResponse(
            products=[convert.to_product(product) for product in products],
            next_page_token=next_page_token,
            resume_token=token,
        )

    async def UpdateProduct(
        self, request: pb.UpdateProductRequest, context: Context
    ) -> pb.UpdateProductResponse:
        faults = Faults()
        faults.request_id(request.request_id)
        faults.id(request.product.id, "product.id")
        faults.extend(mask_violations(request.update_mask, set(_FIELDS)))
        faults.refuse()
        changes = _changes(request.product, request.update_mask)
        key = self._writes.key(request.request_id, "UpdateProduct", context)

        def update(repo: Repository) -> pb.UpdateProductResponse:
            product = _locked(repo, request.product.id, request.product.etag)
            changed = replace(
                product, **changes, version=product.version + 1, update_time=self._clock.now()
            )
            found = Faults()
            found.extend(product_violations(changed))
            found.refuse()
            repo.products.update(changed)
            repo.log.append(changed)
            return pb.UpdateProductResponse(
                product=convert.to_product(changed), resume_token=repo.log.here().encode()
            )

        return await self._writes.once(key, request, pb.UpdateProductResponse, update)

    async def DeleteProduct(
        self, request: pb.DeleteProductRequest, context: Context
    ) -> pb.DeleteProductResponse:
        faults = Faults()
        faults.request_id(request.request_id)
        faults.id(request.product_id, "product_id")
        faults.refuse()
        key = self._writes.key(request.request_id, "DeleteProduct", context)

        def delete(repo: Repository) -> pb.DeleteProductResponse:
            product = _locked(repo, request.product_id, request.etag)
            now = self._clock.now()
            deleted = replace(
                product, version=product.version + 1, update_time=now, delete_time=now
            )
            repo.products.update(deleted)
            repo.log.append(deleted)
            return pb.DeleteProductResponse(
                product=convert.to_product(deleted), resume_token=repo.log.here().encode()
            )

        return await self._writes.once(key, request, pb.DeleteProductResponse, delete)


_FIELDS: dict[str, Callable[[pb.Product], object]] = {
    "name": lambda message: message.name,
    "prices": lambda message: tuple(convert.from_money(price) for price in message.prices),
    "schema": lambda message: convert.from_schema(message.schema),
    "task_function_name": lambda message: message.task_function_name,
    "task_priority": lambda message: message.task_priority,
    "tags": lambda message: tuple(message.tags),
}


def _changes(message: pb.Product, mask: FieldMask) -> dict[str, Any]:
    return {path: _FIELDS[path](message) for path in mask.paths}


def _locked(repo: Repository, product_id: str, etag: str) -> Product:
    """Load a product to change it, or raise why it can't be."""
    product = repo.products.get(product_id, lock=True)
    if product is None:
        raise product_not_found(product_id)
    if product.delete_time is not None:
        raise product_deleted(product_id)
    check_etag(etag, product.version)
    return product


def product_not_found(product_id: str) -> BoxofficeError:
    """Refuse a product that is not there."""
    return BoxofficeError(
        Reason.PRODUCT_NOT_FOUND,
        f"there is no product {product_id}",
        metadata={"product_id": product_id},
    )


def product_deleted(product_id: str) -> BoxofficeError:
    """Refuse a product that was deleted."""
    return BoxofficeError(
        Reason.PRODUCT_DELETED,
        f"product {product_id} was deleted",
        metadata={"product_id": product_id},
    )


def check_etag(etag: str, version: int) -> None:
    """Raise ETAG_MISMATCH if the caller decided on an older state."""
    if etag and etag != str(version):
        raise BoxofficeError(
            Reason.ETAG_MISMATCH,
            f"the resource has changed: its etag is {version}",
            metadata={"etag": str(version)},
        )


def mask_violations(mask: FieldMask, known: set[str]) -> list[FieldViolation]:
    """Tell what is wrong with an update mask: it must name fields, and only known ones."""
    names = ", ".join(sorted(known))
    if not mask.paths:
        return [FieldViolation(field="update_mask", description=f"must name some of {names}")]
    return [
        FieldViolation(field="update_mask", description=f"names {path!r}, which is none of {names}")
        for path in mask.paths
        if path not in known
    ]

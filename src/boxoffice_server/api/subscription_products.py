"""The catalogue methods of EntitlementsService."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from boxoffice.entitlements.v1 import entitlements_pb2 as pb
from boxoffice.entitlements.v1 import subscription_products_pb2 as products_pb
from boxoffice_server.api import convert_entitlements as convert
from boxoffice_server.api.context import Context
from boxoffice_server.api.pages import read_page
from boxoffice_server.api.products import mask_violations
from boxoffice_server.api.requests import Faults
from boxoffice_server.api.writes import Writes
from boxoffice_server.domain.catalogue import (
    MAX_APP,
    MAX_GROUP,
    CatalogueChange,
    subscription_product_violations,
    tier_rank_mismatch,
)
from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.ids import Prefix, new_id
from boxoffice_server.domain.subscription import SubscriptionProduct
from boxoffice_server.domain.text import text_violations
from boxoffice_server.ports import Clock, Repository, Store, SubscriptionProductFilter


class CatalogueListener(Protocol):
    """Makes the subscriptions follow the catalogue."""

    def catalogue_changed(self, repo: Repository, product: SubscriptionProduct) -> None:
        """Look again at what depends on a product that was made, or whose rank has changed.

        Called in the transaction that changes it, after the change.
        """
        ...


class SubscriptionProductMethods:
    """Keeps the catalogue of subscriptions."""

    def __init__(
        self, *, store: Store, clock: Clock, writes: Writes, listener: CatalogueListener
    ) -> None:
        self._store = store
        self._clock = clock
        self._writes = writes
        self._listener = listener

    async def CreateSubscriptionProduct(
        self, request: pb.CreateSubscriptionProductRequest, context: Context
    ) -> pb.CreateSubscriptionProductResponse:
        faults = Faults()
        faults.request_id(request.request_id)
        product = _new_product(request.product, self._clock.now())
        faults.extend(subscription_product_violations(product))
        faults.refuse()
        key = self._writes.key(request.request_id, "CreateSubscriptionProduct", context)

        def create(repo: Repository) -> pb.CreateSubscriptionProductResponse:
            catalogue = repo.subscription_products
            catalogue.hold_vendor(product.source, product.app, product.vendor_product_id)
            catalogue.hold(product.group)
            tiers = catalogue.tiers([product.group]).get(product.group, {})
            if tiers.get(product.tier, product.rank) != product.rank:
                raise tier_rank_mismatch(product, tiers[product.tier])
            if not catalogue.insert(product):
                raise _exists(repo, product)
            self._listener.catalogue_changed(repo, product)
            return pb.CreateSubscriptionProductResponse(
                product=convert.to_subscription_product(product),
                resume_token=_tell(repo, product, product.create_time),
            )

        return await self._writes.once(key, request, pb.CreateSubscriptionProductResponse, create)

    async def GetSubscriptionProduct(
        self, request: pb.GetSubscriptionProductRequest, context: Context
    ) -> pb.GetSubscriptionProductResponse:
        del context
        faults = Faults()
        faults.id(request.product_id, "product_id")
        faults.refuse()
        product = await self._store.read(
            lambda repo: repo.subscription_products.get(request.product_id)
        )
        if product is None:
            raise convert.subscription_product_not_found(request.product_id)
        return pb.GetSubscriptionProductResponse(product=convert.to_subscription_product(product))

    async def ListSubscriptionProducts(
        self, request: pb.ListSubscriptionProductsRequest, context: Context
    ) -> pb.ListSubscriptionProductsResponse:
        del context
        faults = Faults()
        faults.page_size(request.page_size)
        faults.extend(text_violations(request.app, "app", least=0, most=MAX_APP))
        faults.extend(
            text_violations(
                request.subscription_group, "subscription_group", least=0, most=MAX_GROUP
            )
        )
        faults.refuse()
        wanted = SubscriptionProductFilter(
            source=convert.from_source_or_none(request.source, "source"),
            app=request.app,
            group=request.subscription_group,
        )
        page = read_page(request, page_size=request.page_size, page_token=request.page_token)

        def load(repo: Repository) -> tuple[str, list[SubscriptionProduct]]:
            token = repo.log.bounds().head_token().encode()
            found = repo.subscription_products.find(
                wanted, before_id=page.before_id, limit=page.fetch
            )
            return token, found

        token, loaded = await self._store.read(load)
        products, next_page_token = page.cut(loaded)
        return pb.ListSubscriptionProductsResponse(
            products=[convert.to_subscription_product(product) for product in products],
            next_page_token=next_page_token,
            resume_token=token,
        )

    async def UpdateSubscriptionProduct(
        self, request: pb.UpdateSubscriptionProductRequest, context: Context
    ) -> pb.UpdateSubscriptionProductResponse:
        faults = Faults()
        faults.request_id(request.request_id)
        faults.id(request.product.id, "product.id")
        faults.extend(mask_violations(request.update_mask, set(_FIELDS)))
        faults.refuse()
        changes = {path: _FIELDS[path](request.product) for path in request.update_mask.paths}
        key = self._writes.key(request.request_id, "UpdateSubscriptionProduct", context)

        def update(repo: Repository) -> pb.UpdateSubscriptionProductResponse:
            product = self._change(repo, request.product.id, changes)
            return pb.UpdateSubscriptionProductResponse(
                product=convert.to_subscription_product(product),
                resume_token=_tell(repo, product, product.update_time),
            )

        return await self._writes.once(key, request, pb.UpdateSubscriptionProductResponse, update)

    def _change(
        self, repo: Repository, product_id: str, changes: dict[str, Any]
    ) -> SubscriptionProduct:
        product = _locked(repo, product_id)
        changed = replace(product, **changes, update_time=self._clock.now())
        faults = Faults()
        faults.extend(subscription_product_violations(changed))
        faults.refuse()
        if changed.rank != product.rank:
            _check_alone(repo, product)
        repo.subscription_products.update(changed)
        if changed.rank != product.rank:
            self._listener.catalogue_changed(repo, changed)
        return changed

    async def DeleteSubscriptionProduct(
        self, request: pb.DeleteSubscriptionProductRequest, context: Context
    ) -> pb.DeleteSubscriptionProductResponse:
        faults = Faults()
        faults.request_id(request.request_id)
        faults.id(request.product_id, "product_id")
        faults.refuse()
        key = self._writes.key(request.request_id, "DeleteSubscriptionProduct", context)

        def delete(repo: Repository) -> pb.DeleteSubscriptionProductResponse:
            product = _locked(repo, request.product_id)
            if repo.subscription_products.used(product):
                raise BoxofficeError(
                    Reason.SUBSCRIPTION_PRODUCT_USED,
                    f"something speaks of subscription product {product.id}",
                    metadata={"product_id": product.id},
                )
            repo.subscription_products.delete(product.id)
            return pb.DeleteSubscriptionProductResponse(
                product=convert.to_subscription_product(product),
                resume_token=_tell(repo, product, self._clock.now()),
            )

        return await self._writes.once(key, request, pb.DeleteSubscriptionProductResponse, delete)


def _rank(message: products_pb.SubscriptionProduct) -> int | None:
    return message.rank if message.HasField("rank") else None


_FIELDS: dict[str, Callable[[products_pb.SubscriptionProduct], object]] = {
    "name": lambda message: message.name,
    "rank": _rank,
}


def _new_product(message: products_pb.SubscriptionProduct, now: datetime) -> SubscriptionProduct:
    return SubscriptionProduct(
        id=new_id(Prefix.SUBSCRIPTION_PRODUCT, now),
        source=convert.from_source(message.source, "product.source"),
        app=message.app,
        vendor_product_id=message.vendor_product_id,
        name=message.name,
        group=message.subscription_group,
        tier=message.subscription_tier,
        rank=_rank(message),
        create_time=now,
        update_time=now,
    )


def _tell(repo: Repository, product: SubscriptionProduct, now: datetime) -> str:
    """Have the log tell of the change; answers a token that lies behind it."""
    change = CatalogueChange(id=new_id(Prefix.EVENT, now), product=product, create_time=now)
    repo.log.append(change)
    return repo.log.here().encode()


def _locked(repo: Repository, product_id: str) -> SubscriptionProduct:
    product = repo.subscription_products.get(product_id, lock=True)
    if product is None:
        raise convert.subscription_product_not_found(product_id)
    return product


def _check_alone(repo: Repository, product: SubscriptionProduct) -> None:
    """Raise where another product of the tier keeps its rank."""
    repo.subscription_products.hold(product.group)
    wanted = SubscriptionProductFilter(group=product.group, tier=product.tier)
    if len(repo.subscription_products.find(wanted, before_id="", limit=2)) > 1:
        raise tier_rank_mismatch(product, product.rank)


def _exists(repo: Repository, product: SubscriptionProduct) -> BoxofficeError:
    known = repo.subscription_products.by_vendor(
        product.source, product.app, product.vendor_product_id
    )
    return BoxofficeError(
        Reason.SUBSCRIPTION_PRODUCT_EXISTS,
        f"product {product.vendor_product_id} of {product.app} is in the catalogue already",
        metadata={"product_id": "" if known is None else known.id},
    )

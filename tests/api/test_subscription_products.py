"""The catalogue of subscriptions: what it takes, how it is found, when it can't change."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from boxoffice.entitlements.v1 import entitlements_pb2 as pb
from boxoffice.entitlements.v1 import subscriptions_pb2
from boxoffice.entitlements.v1.entitlements_pb2_grpc import EntitlementsServiceStub
from boxoffice.entitlements.v1.subscription_products_pb2 import SubscriptionProduct
from boxoffice_server.api.subscription_products import SubscriptionProductMethods
from boxoffice_server.api.writes import Writes, encode_error
from boxoffice_server.clock import BusinessClock
from boxoffice_server.domain import subscription
from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.ids import Prefix
from boxoffice_server.operations.engine import Operations
from boxoffice_server.ports import Repository, Store
from tests.support.calls import new_request_id, refused, refused_field
from tests.support.entitled import keep as keep_in
from tests.support.entitled import numbers
from tests.support.service import ServiceThread
from tests.support.stores import opened_store, until, whole_log
from tests.support.subscriptions import a_subscription_product, an_entitlement

APP_STORE = subscriptions_pb2.SUBSCRIPTION_SOURCE_APP_STORE
MANUAL = subscriptions_pb2.SUBSCRIPTION_SOURCE_MANUAL

both_stores = pytest.mark.parametrize(
    "store", ["sqlite", "postgresql"], indirect=True, scope="module"
)


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[EntitlementsServiceStub]:
    """The stub that pytest-grpc makes."""
    return EntitlementsServiceStub


def sold(
    group: str,
    tier: str = "gold",
    rank: int | None = 2,
    **fields: Any,  # noqa: ANN401
) -> SubscriptionProduct:
    """A product of the App Store's that nobody has described."""
    described: dict[str, Any] = {
        "source": APP_STORE,
        "app": "com.example.app",
        "vendor_product_id": f"com.example.sold.{next(numbers)}",
        "name": "Gold — Zürich",
        "subscription_group": group,
        "subscription_tier": tier,
        "rank": rank,
    }
    return SubscriptionProduct(**(described | fields))


def new_group() -> str:
    """A group that no product has."""
    return f"group-{next(numbers)}"


def create(stub: EntitlementsServiceStub, product: SubscriptionProduct) -> SubscriptionProduct:
    """Create a product."""
    request = pb.CreateSubscriptionProductRequest(request_id=new_request_id(), product=product)
    return stub.CreateSubscriptionProduct(request).product


def update(
    stub: EntitlementsServiceStub, product: SubscriptionProduct, *paths: str
) -> SubscriptionProduct:
    """Update some fields of a product."""
    return stub.UpdateSubscriptionProduct(
        pb.UpdateSubscriptionProductRequest(
            request_id=new_request_id(), product=product, update_mask=FieldMask(paths=paths)
        )
    ).product


def delete(stub: EntitlementsServiceStub, product_id: str) -> SubscriptionProduct:
    """Delete a product."""
    request = pb.DeleteSubscriptionProductRequest(
        request_id=new_request_id(), product_id=product_id
    )
    return stub.DeleteSubscriptionProduct(request).product


def get(stub: EntitlementsServiceStub, product_id: str) -> SubscriptionProduct:
    """Get a product."""
    request = pb.GetSubscriptionProductRequest(product_id=product_id)
    return stub.GetSubscriptionProduct(request).product


@both_stores
def test_product_is_kept_as_it_was_described(grpc_stub: EntitlementsServiceStub) -> None:
    """Every field comes back; what is output only is ours."""
    asked = sold(new_group(), id="spr_mine")
    made = create(grpc_stub, asked)
    assert made.id.startswith("spr_")
    assert made.id != "spr_mine"
    assert made.HasField("create_time")
    assert made.create_time == made.update_time
    fields = ("source", "app", "vendor_product_id", "name", "subscription_group")
    for each in (*fields, "subscription_tier", "rank"):
        assert getattr(made, each) == getattr(asked, each), each
    assert get(grpc_stub, made.id) == made


@both_stores
def test_same_request_makes_one_product(grpc_stub: EntitlementsServiceStub) -> None:
    """The same answer comes again; another body under its id is refused."""
    request = pb.CreateSubscriptionProductRequest(
        request_id=new_request_id(), product=sold(new_group())
    )
    first = grpc_stub.CreateSubscriptionProduct(request)
    assert first.resume_token
    assert grpc_stub.CreateSubscriptionProduct(request) == first
    request.product.name = "Other"
    with refused(Reason.REQUEST_ID_REUSED):
        grpc_stub.CreateSubscriptionProduct(request)


@both_stores
def test_vendors_product_is_described_once(grpc_stub: EntitlementsServiceStub) -> None:
    """The one that is there is named; what is granted by hand has no vendor's id to share."""
    made = create(grpc_stub, sold(new_group()))
    with refused(Reason.SUBSCRIPTION_PRODUCT_EXISTS) as refusal:
        create(grpc_stub, sold(new_group(), vendor_product_id=made.vendor_product_id))
    assert refusal.metadata == {"product_id": made.id}
    other = sold(new_group(), vendor_product_id=made.vendor_product_id, app="com.example.other")
    assert create(grpc_stub, other).id
    for _ in range(2):
        create(grpc_stub, sold(new_group(), source=MANUAL, app="", vendor_product_id=""))


@both_stores
def test_tier_has_one_rank(grpc_stub: EntitlementsServiceStub) -> None:
    """In all products of its group; another group's may have another, or none."""
    group = new_group()
    first = create(grpc_stub, sold(group, rank=2))
    create(grpc_stub, sold(group, rank=2))
    create(grpc_stub, sold(group, "silver", rank=1))
    create(grpc_stub, sold(new_group(), rank=7))
    for rank in (3, None):
        with refused(Reason.TIER_RANK_MISMATCH) as refusal:
            create(grpc_stub, sold(group, rank=rank))
        expected = {"subscription_group": group, "subscription_tier": "gold", "rank": "2"}
        assert refusal.metadata == expected
    first.rank = 3
    with refused(Reason.TIER_RANK_MISMATCH):
        update(grpc_stub, first, "rank")
    unranked = create(grpc_stub, sold(group, "odd", rank=None))
    assert not unranked.HasField("rank")
    with refused(Reason.TIER_RANK_MISMATCH) as refusal:
        create(grpc_stub, sold(group, "odd", rank=0))
    assert refusal.metadata["rank"] == ""


@both_stores
def test_name_and_rank_can_change(grpc_stub: EntitlementsServiceStub) -> None:
    """The rank while the tier is this product's alone; what the mask leaves out stays."""
    made = create(grpc_stub, sold(new_group(), rank=2))
    wanted = SubscriptionProduct(id=made.id, name="New", subscription_tier="other")
    named = update(grpc_stub, wanted, "name")
    assert (named.name, named.rank, named.subscription_tier) == ("New", 2, "gold")
    assert named.update_time.ToNanoseconds() > made.update_time.ToNanoseconds()
    assert named.create_time == made.create_time
    assert update(grpc_stub, SubscriptionProduct(id=made.id, rank=5), "rank").rank == 5
    assert not update(grpc_stub, SubscriptionProduct(id=made.id), "rank").HasField("rank")
    assert get(grpc_stub, made.id).name == "New"


@both_stores
def test_product_is_deleted_while_nothing_speaks_of_it(
    grpc_stub: EntitlementsServiceStub, service: ServiceThread
) -> None:
    """After that it is gone; one that an entitlement comes from stays."""
    made = create(grpc_stub, sold(new_group()))
    deleted = delete(grpc_stub, made.id)
    assert deleted == made
    for call in (get, delete):
        with refused(Reason.SUBSCRIPTION_PRODUCT_NOT_FOUND) as refusal:
            call(grpc_stub, made.id)
        assert refusal.metadata == {"product_id": made.id}
    with refused(Reason.SUBSCRIPTION_PRODUCT_NOT_FOUND):
        update(grpc_stub, made, "name")
    used = a_subscription_product(next(numbers))
    keep_in(service, used, an_entitlement(next(numbers), product=used))
    with refused(Reason.SUBSCRIPTION_PRODUCT_USED) as refusal:
        delete(grpc_stub, used.id)
    assert refusal.metadata == {"product_id": used.id}
    assert get(grpc_stub, used.id).name == used.name


@both_stores
def test_products_are_listed_newest_first(grpc_stub: EntitlementsServiceStub) -> None:
    """By source, app and group, page by page."""
    group = new_group()
    made = [
        create(grpc_stub, sold(group)),
        create(grpc_stub, sold(group, app="com.example.other")),
        create(grpc_stub, sold(group, source=MANUAL, app="", vendor_product_id="")),
    ]

    def listed(**filters: Any) -> list[int]:  # noqa: ANN401
        found: list[int] = []
        request = pb.ListSubscriptionProductsRequest(
            subscription_group=group, page_size=2, **filters
        )
        while True:
            answer = grpc_stub.ListSubscriptionProducts(request)
            assert answer.resume_token
            found += [made.index(each) for each in answer.products]
            if not answer.next_page_token:
                return found
            request.page_token = answer.next_page_token

    assert listed() == [2, 1, 0]
    assert listed(source=APP_STORE) == [1, 0]
    assert listed(source=MANUAL) == [2]
    assert listed(app="com.example.app") == [0]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no source": ({"source": 0}, "product.source"),
    "unknown source": ({"source": 99}, "product.source"),
    "no name": ({"name": ""}, "product.name"),
    "no group": ({"subscription_group": ""}, "product.subscription_group"),
    "no tier": ({"subscription_tier": ""}, "product.subscription_tier"),
    "no app": ({"app": ""}, "product.app"),
    "no vendor id": ({"vendor_product_id": ""}, "product.vendor_product_id"),
}


@pytest.mark.parametrize(("fields", "field"), BAD.values(), ids=BAD.keys())
def test_bad_product_is_refused(
    grpc_stub: EntitlementsServiceStub, fields: dict[str, Any], field: str
) -> None:
    """The field that is wrong is named."""
    with refused_field(field):
        create(grpc_stub, sold(**({"group": new_group()} | fields)))


def test_bad_calls_are_refused(grpc_stub: EntitlementsServiceStub) -> None:
    """Without a request id, with a mask of what can't change, for a page that can't be."""
    with refused_field("request_id"):
        grpc_stub.CreateSubscriptionProduct(
            pb.CreateSubscriptionProductRequest(product=sold(new_group()))
        )
    made = create(grpc_stub, sold(new_group()))
    for paths in ((), ("subscription_tier",), ("name", "vendor_product_id")):
        with refused_field("update_mask"):
            update(grpc_stub, made, *paths)
    with refused_field("product.name"):
        update(grpc_stub, SubscriptionProduct(id=made.id), "name")
    with refused_field("page_size", "app", "subscription_group"):
        grpc_stub.ListSubscriptionProducts(
            pb.ListSubscriptionProductsRequest(
                page_size=-1, app="a" * 156, subscription_group="g" * 65
            )
        )
    with refused(Reason.PAGE_TOKEN_INVALID):
        grpc_stub.ListSubscriptionProducts(pb.ListSubscriptionProductsRequest(page_token="x"))


# -- what follows the catalogue -------------------------------------------------------------------


@dataclass
class Recorder:
    """Notes what it is told of the catalogue, and can refuse it."""

    told: list[subscription.SubscriptionProduct] = field(default_factory=list)
    refusal: Exception | None = None

    def catalogue_changed(
        self, repo: Repository, product: subscription.SubscriptionProduct
    ) -> None:
        """Note a product as the transaction sees it."""
        assert repo.subscription_products.get(product.id) == product
        if self.refusal is not None:
            raise self.refusal
        self.told.append(product)


@pytest.fixture
async def opened(database: str) -> AsyncIterator[Store]:
    """An open store, once on each of the two."""
    async with opened_store(database) as store:
        yield store


def methods(store: Store, recorder: Recorder) -> SubscriptionProductMethods:
    """The methods on a store, with a recorder in the place of what follows the catalogue."""
    clock = BusinessClock()
    operations = Operations(
        store=store, clock=clock, instance="tests", is_alone=True, encode_error=encode_error
    )
    writes = Writes(store=store, clock=clock, operations=operations, identify=lambda context: "me")  # noqa: ARG005
    return SubscriptionProductMethods(store=store, clock=clock, writes=writes, listener=recorder)


NO_CONTEXT = cast("Any", None)


async def test_what_follows_the_catalogue_is_told_in_its_transaction(opened: Store) -> None:
    """Of a new product and of another rank, once each; not of another name."""
    recorder = Recorder()
    catalogue = methods(opened, recorder)
    request = pb.CreateSubscriptionProductRequest(request_id="1", product=sold("premium"))
    made = (await catalogue.CreateSubscriptionProduct(request, NO_CONTEXT)).product
    await catalogue.CreateSubscriptionProduct(request, NO_CONTEXT)
    for path, wanted in (
        ("name", SubscriptionProduct(id=made.id, name="New")),
        ("rank", SubscriptionProduct(id=made.id, rank=9)),
    ):
        await catalogue.UpdateSubscriptionProduct(
            pb.UpdateSubscriptionProductRequest(
                request_id=path, product=wanted, update_mask=FieldMask(paths=[path])
            ),
            NO_CONTEXT,
        )
    assert [(each.id, each.rank) for each in recorder.told] == [(made.id, 2), (made.id, 9)]


async def test_product_is_not_made_where_what_follows_it_fails(opened: Store) -> None:
    """Nothing of the call is left, so that it can be sent again."""
    recorder = Recorder(refusal=BoxofficeError(Reason.STORE_UNAVAILABLE, "no"))
    catalogue = methods(opened, recorder)
    request = pb.CreateSubscriptionProductRequest(request_id="1", product=sold("premium"))
    with pytest.raises(BoxofficeError):
        await catalogue.CreateSubscriptionProduct(request, NO_CONTEXT)
    tiers = await opened.read(lambda repo: repo.subscription_products.tiers(["premium"]))
    assert tiers == {}
    recorder.refusal = None
    assert (await catalogue.CreateSubscriptionProduct(request, NO_CONTEXT)).product.id
    assert len(recorder.told) == 1


async def test_log_tells_of_every_change_of_the_catalogue(opened: Store) -> None:
    """So that every write lies at a place of the log."""
    catalogue = methods(opened, Recorder())
    request = pb.CreateSubscriptionProductRequest(request_id="1", product=sold("premium"))
    made = (await catalogue.CreateSubscriptionProduct(request, NO_CONTEXT)).product
    await catalogue.UpdateSubscriptionProduct(
        pb.UpdateSubscriptionProductRequest(
            request_id="2", product=made, update_mask=FieldMask(paths=["name"])
        ),
        NO_CONTEXT,
    )
    await catalogue.DeleteSubscriptionProduct(
        pb.DeleteSubscriptionProductRequest(request_id="3", product_id=made.id), NO_CONTEXT
    )

    async def told() -> bool:
        return len(await whole_log(opened)) >= 3

    await until(told)
    records = await whole_log(opened)
    assert [(each.kind, each.subject_id) for each in records] == [
        ("subscription_product", made.id)
    ] * 3
    assert all(each.event_id.startswith(Prefix.EVENT) for each in records)

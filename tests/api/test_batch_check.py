"""BatchCheckEntitlements at its largest."""

import pytest

from boxoffice.entitlements.v1 import entitlements_pb2 as pb
from boxoffice.entitlements.v1.entitlements_pb2_grpc import EntitlementsServiceStub
from boxoffice_server.domain.subscription import EntitlementStatus
from boxoffice_server.ports import Repository
from tests.support.entitled import a_new_product, around, entitled, keep, numbers, write
from tests.support.service import ServiceThread


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[EntitlementsServiceStub]:
    """The stub that pytest-grpc makes."""
    return EntitlementsServiceStub


def test_largest_batch_fits_into_an_answer(
    grpc_stub: EntitlementsServiceStub, service: ServiceThread
) -> None:
    """A thousand users, ten groups, each with something in each."""
    products = [
        a_new_product(group=f"{next(numbers):0>64}", tier="t" * 64, rank=1) for _ in range(10)
    ]
    users = [f"{next(numbers):0>64}" for _ in range(1000)]
    band = around(EntitlementStatus.AWAITING_PRICE_CHANGE_CONFIRMATION, -1, 9)
    keep(service, *products)

    def sell(repo: Repository) -> str:
        for product in products:
            for user in users:
                repo.entitlements.upsert(entitled(user, product, band), ())
        return ""

    write(service, sell)
    answer = grpc_stub.BatchCheckEntitlements(
        pb.BatchCheckEntitlementsRequest(
            user_ids=users,
            groups=[
                pb.GroupQuestion(subscription_group=product.group, minimum_tier=product.tier)
                for product in products
            ],
        )
    )
    assert [len(group.users) for group in answer.groups] == [1000] * 10
    assert all(each.allowed for group in answer.groups for each in group.users)

"""A log whose beginning was dropped: who would miss something is told so."""

from datetime import UTC

import pytest

from boxoffice.common.v1 import streams_pb2
from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.domain.errors import Reason
from tests.support.calls import caught_up, frames, refused
from tests.support.sales import create_intent, create_product
from tests.support.service import ServiceThread

EARLIEST = streams_pb2.START_POSITION_EARLIEST

pytestmark = pytest.mark.parametrize(
    "store", ["sqlite", "postgresql"], indirect=True, scope="module"
)


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[OrdersServiceStub]:
    """The stub that pytest-grpc makes."""
    return OrdersServiceStub


def test_place_that_was_compacted_is_refused(
    grpc_stub: OrdersServiceStub,
    payments: PaymentsServiceStub,
    service: ServiceThread,
) -> None:
    """What follows the token is gone: the error says from where on the log goes."""
    product = create_product(grpc_stub)
    old = grpc_stub.ListOrders(pb.ListOrdersRequest()).resume_token
    before = create_intent(payments, product.id)
    after = create_intent(payments, product.id)
    # Its token waits until all is numbered.
    caught_up(grpc_stub, resume_token=after.resume_token)
    time = after.order.create_time.ToDatetime(tzinfo=UTC)
    earliest = service.run(lambda app: app._store.write(lambda repo: repo.log.compact(before=time)))
    for start in ({"resume_token": old}, {"start_time": before.order.create_time}):
        with refused(Reason.POSITION_COMPACTED) as refusal:
            next(frames(grpc_stub, **start))
        assert refusal.metadata["earliest"] == str(earliest)
        assert int(refusal.metadata["head"]) >= earliest
    seen = caught_up(grpc_stub, start_position=EARLIEST)
    assert seen[0].position == earliest
    assert seen[0].order.id == after.order.id

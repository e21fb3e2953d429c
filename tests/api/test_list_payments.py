"""ListPayments: the history of what was paid, by whom, for what and when."""

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.domain.errors import Reason
from tests.support.calls import new_user, refused, refused_field
from tests.support.desk import Desk, cancel_request

pytestmark = pytest.mark.parametrize(
    "store", ["sqlite", "postgresql"], indirect=True, scope="module"
)


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[PaymentsServiceStub]:
    """The stub that pytest-grpc makes."""
    return PaymentsServiceStub


def listed(desk: Desk, **filters: object) -> list[str]:
    """The ids of all payments that match, page by page of two."""
    seen, token = [], ""
    while True:
        request = pb.ListPaymentsRequest(page_size=2, page_token=token, **filters)  # type: ignore[arg-type]
        page = desk.payments.ListPayments(request)
        assert len(page.payments) <= 2
        assert page.resume_token
        seen += [each.id for each in page.payments]
        token = page.next_page_token
        if not token:
            return seen


def test_filters_and_pages(desk: Desk) -> None:
    """By user, order, status and time; newest first, each once."""
    user = new_user()
    charged = [desk.charged(user, cents) for cents in (100, 200, 300)]
    sale = desk.intended({"user_id": user})
    gone = desk.intended({"user_id": user})
    desk.payments.CancelPayment(cancel_request(gone.payment.id))
    ids = [each.id for each in (*charged, sale.payment, gone.payment)]
    assert listed(desk, user_id=user) == ids[::-1]
    assert listed(desk, user_id=new_user()) == []
    assert listed(desk, order_id=sale.order.id) == [sale.payment.id]
    complete, cancelled = pb.PAYMENT_STATUS_COMPLETE, pb.PAYMENT_STATUS_CANCELLED
    assert listed(desk, user_id=user, statuses=[complete]) == ids[2::-1]
    assert listed(desk, user_id=user, statuses=[complete, cancelled]) == [ids[4], *ids[2::-1]]
    middle = charged[1].create_time
    assert listed(desk, user_id=user, from_time=middle) == ids[:0:-1]
    assert listed(desk, user_id=user, until_time=middle) == ids[:1]
    assert listed(desk, user_id=user, from_time=middle, until_time=middle) == []
    future = Timestamp()
    future.FromDatetime(datetime.now(UTC) + timedelta(days=1))
    assert listed(desk, user_id=user, from_time=future) == []


def test_page_token_belongs_to_its_filters(desk: Desk) -> None:
    """A token of another list, or a mangled one, is refused."""
    user = new_user()
    for _ in range(2):
        desk.charged(user)
    request = pb.ListPaymentsRequest(user_id=user, page_size=1)
    token = desk.payments.ListPayments(request).next_page_token
    for asked in (
        pb.ListPaymentsRequest(page_size=1, page_token=token),
        pb.ListPaymentsRequest(user_id=user, page_size=1, page_token=token[:-1]),
    ):
        with refused(Reason.PAGE_TOKEN_INVALID):
            desk.payments.ListPayments(asked)


BAD_FIELDS: dict[str, tuple[dict[str, object], str]] = {
    "negative page": ({"page_size": -1}, "page_size"),
    "long user": ({"user_id": "u" * 65}, "user_id"),
    "long order": ({"order_id": "o" * 65}, "order_id"),
    "unknown status": ({"statuses": [99]}, "statuses[0]"),
    "no status": ({"statuses": [0]}, "statuses[0]"),
}


@pytest.mark.parametrize(("fields", "field"), BAD_FIELDS.values(), ids=BAD_FIELDS.keys())
def test_bad_field_is_refused(desk: Desk, fields: dict[str, object], field: str) -> None:
    """The field that is at fault is named."""
    with refused_field(field):
        desk.payments.ListPayments(pb.ListPaymentsRequest(**fields))  # type: ignore[arg-type]

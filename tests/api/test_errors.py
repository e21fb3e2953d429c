"""Errors: one closed list of reasons, one status for each, and nothing of what is inside."""

import asyncio
import re
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2

from boxoffice.common.v1 import errors_pb2
from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice_server.api import calls
from boxoffice_server.api.errors import STATUS_CODES, from_status, to_status
from boxoffice_server.domain.errors import BoxofficeError, FieldViolation, Reason
from tests.support.calls import new_request_id, refused
from tests.support.logs import recorded_log
from tests.support.sales import create_product
from tests.support.service import ServiceThread

PROTO = Path(__file__).parents[2] / "protos/boxoffice/common/v1/errors.proto"
DRIVER_TEXT = "SELECT secrets FROM drivers"


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[OrdersServiceStub]:
    """The stub that pytest-grpc makes."""
    return OrdersServiceStub


def stated_codes() -> dict[str, str]:
    """The status that the comment of each reason in the proto begins with."""
    text = PROTO.read_text()
    found = re.findall(r"((?:^  //.*\n)+)  ERROR_REASON_(\w+) = \d+;", text, re.MULTILINE)
    codes = {}
    for comment, name in found:
        words = comment.lstrip("/ ").split(".", 1)
        codes[name] = words[0]
    del codes["UNSPECIFIED"]
    return codes


def test_reasons_of_the_domain_and_of_the_wire_are_the_same() -> None:
    """No reason that callers can't know, and none that is never sent."""
    wire = {
        name.removeprefix("ERROR_REASON_")
        for name in errors_pb2.ErrorReason.DESCRIPTOR.values_by_name
    }
    assert {str(reason) for reason in Reason} == wire - {"UNSPECIFIED"}


def test_each_reason_has_the_status_that_its_comment_states() -> None:
    """The proto is what callers read, so it is what holds."""
    codes = {str(reason): code.name for reason, code in STATUS_CODES.items()}
    assert codes == stated_codes()


@pytest.mark.parametrize("reason", Reason)
def test_kept_error_is_told_again_as_it_was(reason: Reason) -> None:
    """An error that is stored with its operation keeps reason, message and metadata."""
    error = BoxofficeError(reason, "why", metadata={"a": "b"})
    again = from_status(to_status(error))
    assert (again.reason, again.message, again.metadata) == (reason, "why", {"a": "b"})


def test_error_is_cut_to_what_grpc_lets_through() -> None:
    """Message and violations keep their beginning, and never a half character."""
    wide = "\N{PARTY POPPER}" * 5000
    violations = [FieldViolation(field=wide, description=wide)] * 500
    status = to_status(BoxofficeError(Reason.FIELD_INVALID, wide, violations=violations))
    bad = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad) for detail in status.details)
    assert 1 <= len(bad.field_violations) < 500
    for text in (status.message, bad.field_violations[0].field):
        assert set(text[:-1]) == {"\N{PARTY POPPER}"}
        assert text.endswith("\N{HORIZONTAL ELLIPSIS}")
    assert status.ByteSize() < 4096


@pytest.mark.parametrize(
    "fault",
    [RuntimeError(DRIVER_TEXT), KeyError(DRIVER_TEXT), OSError(5), TimeoutError(DRIVER_TEXT)],
)
def test_fault_of_the_service_is_internal_and_in_the_log(
    grpc_stub: OrdersServiceStub, service: ServiceThread, fault: Exception
) -> None:
    """The caller gets an id; the log has the whole story under it."""

    async def fail(*_: object) -> None:
        raise fault

    with recorded_log() as log, pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.application._store, "read", fail)
        with refused(Reason.INTERNAL) as refusal:
            grpc_stub.GetProduct(pb.GetProductRequest(product_id="prd_1"))
    request_id = refusal.metadata.pop("request_id")
    assert refusal.metadata == {}
    assert request_id in refusal.message
    assert DRIVER_TEXT not in refusal.message
    (story,) = (line for line in log.lines if line.get("request_id") == request_id)
    assert story["level"] == "error"
    assert story["method"] == "/boxoffice.orders.v1.OrdersService/GetProduct"
    assert type(fault).__name__ in str(story["exception"])


def test_fault_within_a_stream_is_internal_too(
    grpc_stub: OrdersServiceStub, service: ServiceThread
) -> None:
    """A stream ends with the same kind of error as a call."""

    async def fail(*_: object) -> None:
        raise RuntimeError(DRIVER_TEXT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.application._store, "read", fail)
        with refused(Reason.INTERNAL) as refusal:
            next(iter(grpc_stub.WatchOrders(pb.WatchOrdersRequest())))
    assert DRIVER_TEXT not in refusal.message


def test_call_without_a_deadline_has_one(
    grpc_stub: OrdersServiceStub, service: ServiceThread
) -> None:
    """The server's own bound ends a call that hangs."""

    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.application._store, "read", hang)
        patch.setattr(calls, "MOST_SECONDS", 0.1)
        with refused(Reason.DEADLINE_EXCEEDED):
            grpc_stub.GetProduct(pb.GetProductRequest(product_id="prd_1"))


def test_call_with_a_shorter_deadline_ends_at_it(
    grpc_stub: OrdersServiceStub, service: ServiceThread
) -> None:
    """The call is ended by gRPC itself, and the server goes on."""

    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.application._store, "read", hang)
        with pytest.raises(grpc.RpcError) as error:
            grpc_stub.GetProduct(pb.GetProductRequest(product_id="prd_1"), timeout=0.1)
    assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert create_product(grpc_stub).id


def test_store_that_is_away_is_unavailable(
    grpc_stub: OrdersServiceStub, service: ServiceThread
) -> None:
    """Reads and writes are refused alike, and served again when it is back."""
    store = service.application._store
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_is_open", False)
        with refused(Reason.STORE_UNAVAILABLE) as refusal:
            grpc_stub.GetProduct(pb.GetProductRequest(product_id="prd_1"))
        assert "sqlite" not in refusal.message
        with refused(Reason.STORE_UNAVAILABLE):
            create_product(grpc_stub)
    assert create_product(grpc_stub).id


def test_errors_are_always_in_the_log(grpc_stub: OrdersServiceStub) -> None:
    """One line each, with method, status, reason and time."""
    with recorded_log() as log:
        for _ in range(3):
            with refused(Reason.PRODUCT_NOT_FOUND):
                grpc_stub.GetProduct(pb.GetProductRequest(product_id="prd_none"))
    lines = [line for line in log.lines if line["event"] == "call"]
    assert len(lines) == 3
    for line in lines:
        assert line["method"] == "/boxoffice.orders.v1.OrdersService/GetProduct"
        assert (line["code"], line["reason"]) == ("NOT_FOUND", "PRODUCT_NOT_FOUND")
        assert 0 <= line["seconds"] < 10


def test_log_never_holds_a_body(grpc_stub: OrdersServiceStub) -> None:
    """Neither what was sent nor what was wrong with it."""
    with recorded_log() as log:
        product = create_product(grpc_stub, name="canary-name")
        with refused(Reason.FIELD_INVALID):
            create_product(grpc_stub, name="canary-name", tags=["canary-tag", "canary-tag"])
        request = pb.DeleteProductRequest(request_id=new_request_id(), product_id=product.id)
        grpc_stub.DeleteProduct(request)
    assert "canary" not in log.text

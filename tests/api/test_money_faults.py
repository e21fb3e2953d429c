"""Every call that moves money, against what can befall it: nothing is done twice or lost."""

from collections.abc import Iterator
from datetime import timedelta

import grpc
import pytest

from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.app import Timings
from boxoffice_server.domain.errors import Reason
from boxoffice_server.vendors.stripe.client import Patience
from tests.support.calls import refused
from tests.support.desk import Desk
from tests.support.money import CALLS
from tests.support.service import Account

REPEATS = 1


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[PaymentsServiceStub]:
    """The stub that pytest-grpc makes."""
    return PaymentsServiceStub


@pytest.fixture(scope="module")
def timings() -> Timings:
    """A gateway that gives up soon, and a janitor that never comes while a test runs."""
    return Timings(
        look_every=timedelta(minutes=5),
        patience=Patience(request=timedelta(seconds=1), pauses=(timedelta(),) * REPEATS),
    )


@pytest.fixture(autouse=True)
def silent(account: Account) -> Iterator[None]:
    """No notification helps; the account may still use Sources, and no fault is left."""
    account.sandbox.control(f"accounts/{account.key}", {"legacy": True})
    account.wait_delivered()
    account.webhooks("drop")
    yield
    account.sandbox.clear_faults()
    account.webhooks("normal")


OVERCOME: dict[str, dict[str, object]] = {
    "answer lost": {"kind": "reset_after"},
    "question lost": {"kind": "reset_before"},
    "answer cut off": {"kind": "truncate"},
    "answer late": {"kind": "late", "seconds": 1.5},
    "503": {"kind": "status", "status": 503},
    "500 after the work": {"kind": "status", "status": 500, "processed": True},
    "409": {"kind": "status", "status": 409},
}


@pytest.mark.parametrize("fault", OVERCOME)
@pytest.mark.parametrize("name", CALLS)
def test_one_fault_is_overcome_within_the_call(
    desk: Desk, account: Account, name: str, fault: str
) -> None:
    """The gateway repeats under the same key, and the caller notices nothing."""
    call = CALLS[name](desk)
    account.fault(path=call.path, **OVERCOME[fault])  # type: ignore[arg-type]  # its values
    answer = call.make()
    account.wait_struck()
    assert call.make() == answer
    assert call.done()
    assert len(call.effects()) == 1


@pytest.mark.parametrize("status", [401, 429])
@pytest.mark.parametrize("name", CALLS)
def test_vendor_that_does_not_listen_has_done_nothing(
    desk: Desk, account: Account, name: str, status: int
) -> None:
    """VENDOR_UNAVAILABLE says so; the same request goes through later."""
    call = CALLS[name](desk)
    account.fault("status", call.path, status=status)
    with refused(Reason.VENDOR_UNAVAILABLE) as refusal:
        call.make()
    assert refusal.retry_after is not None
    assert call.effects() == []
    answer = call.make()
    assert call.make() == answer
    assert len(call.effects()) == 1


@pytest.mark.parametrize("how", ["deadline", "cancelled"])
@pytest.mark.parametrize("name", CALLS)
def test_caller_who_leaves_stops_nothing(desk: Desk, account: Account, name: str, how: str) -> None:
    """What Stripe is asked for is recorded all the same; the same request gets the answer."""
    call = CALLS[name](desk)
    account.fault("latency", call.path, seconds=0.4)
    if how == "deadline":
        with pytest.raises(grpc.RpcError) as error:
            call.rpc(call.request, timeout=0.25)
        assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    else:
        left = call.rpc.future(call.request)
        account.wait_struck()
        assert left.cancel()
    answer = call.make()
    assert call.make() == answer
    assert call.done()
    assert len(call.effects()) == 1

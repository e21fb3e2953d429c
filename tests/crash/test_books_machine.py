"""Random sales, random misfortune: the books are what a simple model of them says.

Hypothesis prints a history that fails, made as short as it finds it in a minute or so, and how to
have it again. `make crash` tries many more examples than `make test`, and other ones each time.
"""

import random
import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import ClassVar

import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture import engine
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from boxoffice.common.v1.money_pb2 import Money
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1 import refunds_pb2
from boxoffice_server.fail_points import FailPoint
from tests.crash.case import Answer, Case, Method
from tests.crash.lab import Lab
from tests.crash.matrix import STORES
from tests.crash.scenarios import saved_card
from tests.crash.selection import IS_WHOLE
from tests.support.calls import new_request_id
from tests.support.sales import create_product, intent_request
from tests.support.strikes import Deed, Plan

EXAMPLES = 150 if IS_WHOLE else 6
STEPS = 12
# An example takes about half a second, and some hundred of them make a history short.
SHRINKING_SECONDS = 90
AMOUNT = 1250
SUCCEEDED = refunds_pb2.REFUND_STATUS_SUCCEEDED

FAULTS: dict[str, dict[str, object]] = {
    "question lost": {"kind": "reset_before"},
    "answer lost": {"kind": "reset_after"},
    "answer cut": {"kind": "truncate"},
    "always lost": {"kind": "reset_after", "times": 3},
    "busy": {"kind": "status", "status": 409},
    "too many": {"kind": "status", "status": 429},
    "failed": {"kind": "status", "status": 500},
    "failed after": {"kind": "status", "status": 500, "processed": True},
    "failed for ever": {"kind": "status", "status": 500, "stored": True},
    "failed after for ever": {
        "kind": "status",
        "status": 500,
        "processed": True,
        "stored": True,
    },
}
OF_CALLS = (
    FailPoint.RECORDING,
    FailPoint.RECORDED,
    FailPoint.ASKED,
    FailPoint.SETTLING,
    FailPoint.SETTLED,
)
STRIKES = {
    f"{deed} {point}": (point, deed)
    for point in OF_CALLS
    for deed in (Deed.CRASH, Deed.ERROR, Deed.FAULT)
}
# Half of all that is asked for goes well.
TROUBLES = st.one_of(st.just(""), st.sampled_from([*FAULTS, *STRIKES]))
# Chooses a sale: one with which something can be done, except for now and then.
SALES = st.integers(-2, 12)
MODES = ("normal", "hold", "duplicate", "reverse", "drop", "fifo", "reverse all", "shuffle")


@dataclass(slots=True, kw_only=True)
class Sale:
    """What the model knows of one payment: what has become of its money at Stripe."""

    payment_id: str
    intent: str
    manual: bool = False
    held: int = 0
    captured: int = 0
    refunded: int = 0
    cancelled: bool = False
    disputed: bool = False

    @property
    def is_open(self) -> bool:
        """Tell whether the customer can still pay."""
        return not (self.held or self.captured or self.cancelled)

    @property
    def is_disputable(self) -> bool:
        """Tell whether a bank may ask for its money."""
        return bool(self.captured and not self.refunded and not self.disputed)

    @property
    def left(self) -> int:
        """Tell how much could be given back."""
        return self.captured - self.refunded


class BooksMachine(RuleBasedStateMachine):
    """A service that sells, and a model that knows what must come of it."""

    lab: ClassVar[Lab]
    store: ClassVar[str]
    sabotage: ClassVar[str] = ""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.case: Case = self._stack.enter_context(
            self.lab.case(self.store, timings={"sweep_every": 0.3}, sabotage=self.sabotage)
        )
        self.case.start()
        self.product = create_product(self.case.orders).id
        self.user, self.card = saved_card(self.case)
        self.sales: list[Sale] = []
        self.asked: list[tuple[Method, Message, Answer]] = []

    @initialize(manual=st.booleans())
    def sell(self, *, manual: bool) -> None:
        """One sale is made, and its customer pays."""
        self.create_intent(manual=manual, off_session=False, trouble="")
        self.customer_pays(index=0, declines=False)

    def teardown(self) -> None:
        """Check everything at the end, whatever the last step was."""
        with self._stack:
            self.audit()

    # -- misfortune -------------------------------------------------------------------------------

    @rule(mode=st.sampled_from(MODES))
    def stripe_tells(self, mode: str) -> None:
        """What Stripe tells comes otherwise, or never; or what was held comes, in any order."""
        if mode in {"fifo", "reverse all", "shuffle"}:
            held = self.case.account.held()
            if mode == "shuffle":
                random.Random(len(held)).shuffle(held)
            self.case.account.release(held if mode != "fifo" else held[::-1])
        else:
            self.case.account.webhooks(mode)

    # -- what callers ask for ---------------------------------------------------------------------

    def ask(self, method: Method, request: Message, trouble: str) -> Answer:
        """Ask until told; the first time in some trouble."""
        if trouble in FAULTS:
            self.case.account.fault(**{"path": "/v1/"} | FAULTS[trouble])  # type: ignore[arg-type]
        elif trouble:
            point, deed = STRIKES[trouble]
            name = type(request).__name__.removesuffix("Request")
            self.case.start(Plan(point=point, name=name, deed=deed))
        deadline = time.monotonic() + self.case.patience_seconds
        while (answer := self.case.ask(method, request)) is None:
            assert time.monotonic() < deadline, "it is never answered"
            # A request that is refused is not struck, but a later one may be.
            self.case.revive()
        if _is_kept(answer):
            self.asked.append((method, request, answer))
        return answer

    @rule(manual=st.booleans(), off_session=st.booleans(), trouble=TROUBLES)
    def create_intent(self, *, manual: bool, off_session: bool, trouble: str) -> None:
        """A sale is made; off session it is paid at once."""
        fields: dict[str, object] = {"user_id": self.user}
        if manual:
            fields["capture_method"] = pb.CAPTURE_METHOD_MANUAL
        if off_session:
            fields |= {"off_session": True, "stripe_payment_method_id": self.card}
        answer = self.ask(
            lambda case: case.payments.CreatePaymentIntent,
            intent_request(self.product, **fields),
            trouble,
        )
        assert not answer.is_refusal, answer
        payment = answer.message.payment
        sale = Sale(payment_id=payment.id, intent=payment.stripe_payment_intent_id, manual=manual)
        self.sales.append(sale)
        if off_session:
            self._taken(sale)

    @staticmethod
    def _taken(sale: Sale) -> None:
        if sale.manual:
            sale.held = AMOUNT
        else:
            sale.captured = AMOUNT

    @rule(trouble=TROUBLES)
    def charge_user(self, trouble: str) -> None:
        """The saved card is charged."""
        request = pb.ChargeUserRequest(
            request_id=new_request_id(),
            user_id=self.user,
            stripe_payment_method_id=self.card,
            amount=Money(amount=AMOUNT, currency_code="eur"),
        )
        answer = self.ask(lambda case: case.payments.ChargeUser, request, trouble)
        assert not answer.is_refusal, answer
        payment = answer.message.payment
        sale = Sale(payment_id=payment.id, intent=payment.stripe_payment_intent_id)
        sale.captured = AMOUNT
        self.sales.append(sale)

    def pick(self, index: int, *, can: Callable[[Sale], object]) -> Sale:
        """Choose a sale."""
        able = [sale for sale in self.sales if can(sale)]
        return (able if able and index >= 0 else self.sales)[index % len(able or self.sales)]

    @rule(index=SALES, amount=st.sampled_from([None, 400]), trouble=TROUBLES)
    def capture(self, index: int, amount: int | None, trouble: str) -> None:
        """What is held is taken, if the service knows that it is."""
        sale = self.pick(index, can=lambda sale: sale.held)
        request = pb.CapturePaymentRequest(
            request_id=new_request_id(), payment_id=sale.payment_id, amount=amount
        )
        answer = self.ask(lambda case: case.payments.CapturePayment, request, trouble)
        if not answer.is_refusal:
            assert sale.held
            sale.captured, sale.held = amount or sale.held, 0

    @rule(index=SALES, trouble=TROUBLES)
    def cancel(self, index: int, trouble: str) -> None:
        """A payment is given up, if it can be."""
        sale = self.pick(index, can=lambda sale: sale.is_open or sale.held)
        request = pb.CancelPaymentRequest(request_id=new_request_id(), payment_id=sale.payment_id)
        answer = self.ask(lambda case: case.payments.CancelPayment, request, trouble)
        if not answer.is_refusal:
            assert not sale.captured
            sale.cancelled, sale.held = True, 0

    @rule(index=SALES, amount=st.sampled_from([None, 300, 500]), trouble=TROUBLES)
    def refund(self, index: int, amount: int | None, trouble: str) -> None:
        """Money is given back, if there is so much."""
        sale = self.pick(index, can=lambda sale: sale.left)
        request = pb.RefundPaymentRequest(
            request_id=new_request_id(), payment_id=sale.payment_id, amount=amount
        )
        answer = self.ask(lambda case: case.payments.RefundPayment, request, trouble)
        if not answer.is_refusal and answer.message.refund.status == SUCCEEDED:
            given = answer.message.refund.amount.amount
            assert given <= sale.left
            sale.refunded += given

    @rule(index=st.integers(0, 20))
    def ask_again(self, index: int) -> None:
        """The same request gets the same answer, but for a secret that is of no more use."""
        method, request, before = self.asked[index % len(self.asked)]
        again = self.case.ask_until_told(method, request)
        assert _bare(again) == _bare(before)

    # -- what happens at Stripe -------------------------------------------------------------------
    # Where nothing can happen, nothing does: by a precondition, what Hypothesis chooses from would
    # depend on which answers were refused, and that may differ when the same is tried again.

    @rule(index=st.integers(0, 20), declines=st.sampled_from([False, False, True]))
    def customer_pays(self, index: int, *, declines: bool) -> None:
        """A customer pays, or is declined."""
        sales = [sale for sale in self.sales if sale.is_open]
        if not sales:
            return
        sale = sales[index % len(sales)]
        self.case.account.press("decline" if declines else "pay", sale.intent)
        if not declines:
            self._taken(sale)

    @rule(index=st.integers(0, 20), amount=st.sampled_from([200, AMOUNT]))
    def dashboard_refund(self, index: int, amount: int) -> None:
        """Somebody gives money back in Stripe's dashboard."""
        sales = [sale for sale in self.sales if sale.left and not sale.disputed]
        if not sales:
            return
        sale = sales[index % len(sales)]
        given = min(amount, sale.left)
        path = f"payment_intents/{sale.intent}/refund"
        self.case.account.sandbox.control(path, {"amount": given})
        sale.refunded += given

    @rule(index=st.integers(0, 20))
    def bank_disputes(self, index: int) -> None:
        """A bank asks for the money back."""
        sales = [sale for sale in self.sales if sale.is_disputable]
        if not sales:
            return
        sale = sales[index % len(sales)]
        self.case.account.sandbox.control(f"payment_intents/{sale.intent}/dispute", {})
        sale.disputed = True

    # -- what must hold ---------------------------------------------------------------------------

    @rule()
    def audit(self) -> None:
        """The books of the service, of Stripe and of the model agree."""
        account = self.case.account
        account.webhooks("normal")
        account.release()
        self.case.keep_back("drop")
        account.webhooks("normal")
        self.case.books().check()
        for sale in self.sales:
            request = pb.GetPaymentRequest(payment_id=sale.payment_id)
            payment = self.case.payments.GetPayment(request).payment
            here = (
                payment.captured_amount.amount,
                payment.refunded_amount.amount,
                payment.disputed,
                payment.status == pb.PAYMENT_STATUS_CANCELLED,
                payment.status == pb.PAYMENT_STATUS_REQUIRES_CAPTURE,
            )
            known = (sale.captured, sale.refunded, sale.disputed, sale.cancelled, bool(sale.held))
            assert here == known, f"{payment.id} is {here}, and must be {known}"


def _is_kept(answer: Answer) -> bool:
    """Tell whether an answer is kept: what is refused before Stripe is asked may be possible later.

    Such a refusal also says how things stand, which changes.
    """
    if not answer.is_refusal:
        return True
    info = error_details_pb2.ErrorInfo()
    details = status_pb2.Status.FromString(answer.raw).details
    reasons = [info.reason for each in details if each.Unpack(info)]
    return reasons in (["CARD_DECLINED"], ["AUTHENTICATION_REQUIRED"])


def _bare(answer: Answer) -> object:
    if isinstance(answer.message, pb.CreatePaymentIntentResponse):
        bare = pb.CreatePaymentIntentResponse()
        bare.CopyFrom(answer.message)
        bare.client_secret = ""
        return bare
    return answer.raw


def run_machine(lab: Lab, store: str, *, sabotage: str = "", shrinks: bool = True) -> None:
    """Try examples on a store, of a service that may be wrong; one that fails is made short."""
    of_this_test = {"lab": lab, "store": store, "sabotage": sabotage}
    with pytest.MonkeyPatch.context() as patch:
        # By its own rule this ends after five minutes; it says so whatever the limit is.
        patch.setattr(engine, "MAX_SHRINKING_SECONDS", SHRINKING_SECONDS)
        run_state_machine_as_test(
            type("Machine", (BooksMachine,), of_this_test),
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                derandomize=not IS_WHOLE,
                database=None,
                print_blob=True,
                phases=[Phase.generate, Phase.shrink] if shrinks else [Phase.generate],
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )


def steps_of(error: BaseException) -> list[str]:
    """Name the steps that were printed."""
    return re.findall(r"^state\.(\w+)\(", "\n".join(error.__notes__), re.MULTILINE)


@pytest.mark.parametrize("store", STORES)
def test_books_are_what_the_model_says(lab: Lab, store: str) -> None:
    """Whatever is asked for, and whatever goes wrong meanwhile."""
    run_machine(lab, store)


@pytest.mark.parametrize("wrong", ["random_keys", "unknown_told_as_failure"])
def test_wrong_books_are_caught(lab: Lab, wrong: str) -> None:
    """Things that are done twice, or done and denied, are seen; `make crash` tells them shortly."""
    with pytest.raises(AssertionError) as caught:
        run_machine(lab, "sqlite", sabotage=wrong, shrinks=IS_WHOLE)
    first, *asked, last = steps_of(caught.value)
    assert (first, last) == ("sell", "teardown")
    assert len(asked) <= (STEPS // 2 if IS_WHOLE else STEPS)

"""Facts about payments, made at will."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from boxoffice_server.domain.payment import (
    FactOrigin,
    PaymentFact,
    PaymentFailure,
    PaymentSignal,
)

START = datetime(2026, 11, 21, 12, tzinfo=UTC)
DECLINED = PaymentFailure(code="card_declined", decline_code="lost_card", message="Declined.")


def fact(
    signal: PaymentSignal,
    *,
    second: int = 0,
    id_: str = "evt_1",
    origin: FactOrigin = FactOrigin.NOTIFICATION,
    amount: int | None = None,
) -> PaymentFact:
    """Make a fact; a failed attempt says why."""
    failed = signal in {
        PaymentSignal.ATTEMPT_FAILED,
        PaymentSignal.AUTHENTICATION_REQUIRED,
        PaymentSignal.REFUSED,
    }
    return PaymentFact(
        id=id_,
        origin=origin,
        type=f"test.{signal}",
        resource_type="payment_intent",
        resource_id="pi_1",
        event_time=START + timedelta(seconds=second),
        signal=signal,
        failure=DECLINED if failed else None,
        amount=amount,
    )


@st.composite
def histories(draw: st.DrawFn) -> list[PaymentFact]:
    """Draw facts of a few seconds, so that many share one; each has an id of its own."""
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from(PaymentSignal),
                st.integers(min_value=0, max_value=3),
                st.sampled_from(FactOrigin),
                st.none() | st.integers(min_value=1, max_value=1250),
            ),
            max_size=8,
        )
    )
    return [
        fact(signal, second=second, id_=f"evt_{number}", origin=origin, amount=amount)
        for number, (signal, second, origin, amount) in enumerate(drawn)
    ]


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[list[PaymentFact], list[PaymentFact]]:
    """Draw a history, and another arrival of it: in any order, with duplicates."""
    history = draw(histories())
    again = draw(st.lists(st.sampled_from(history), max_size=4)) if history else []
    return history, draw(st.permutations([*history, *again]))

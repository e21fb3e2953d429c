"""Whatever is sent: it is taken, or refused with one of four codes."""

import json
from collections.abc import Mapping

from hypothesis import example, given
from hypothesis import strategies as st

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.vendors.stripe.notifications import HANDLED_TYPES
from tests.vendors.stripe.events import (
    CHARGE,
    DISPUTE,
    INTENT,
    METHOD,
    REFUND,
    REFUSALS,
    SETUP_INTENT,
    SOURCE_OBJECT,
    SUCCEEDED,
    event,
    refusal,
    sandboxed,
    signed,
    verified,
)

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
_objects = [INTENT, CHARGE, SOURCE_OBJECT, REFUND, DISPUTE, METHOD, SETUP_INTENT]
_names = st.sampled_from(sorted({name for told in _objects for name in told}))


def take(headers: Mapping[str, str], body: bytes) -> None:
    """Do all that is done with a notification; only the coded refusals may come of it."""
    try:
        notification = verified(headers, body, using=sandboxed)
        sandboxed.clock_offset(notification)
        sandboxed.tidings(notification)
    except BoxofficeError as error:
        reason = error.reason
    else:
        return
    assert reason in REFUSALS


@given(
    headers=st.dictionaries(st.text() | st.just("Stripe-Signature"), st.text(), max_size=3),
    body=st.binary(max_size=200),
)
def test_any_bytes_are_taken_or_refused_in_code(headers: dict[str, str], body: bytes) -> None:
    """No header and no body leads to another exception."""
    take(headers, body)


@given(at=st.integers(min_value=0, max_value=10_000), new=st.binary(max_size=3))
@example(at=10, new=b"\xff")
def test_a_changed_body_is_never_taken(at: int, new: bytes) -> None:
    """Whichever byte is exchanged, the signature does not fit."""
    body = json.dumps(SUCCEEDED).encode()
    at %= len(body)
    changed = body[:at] + new + body[at + 1 :]
    if changed != body:
        assert refusal(signed(body), changed).reason is Reason.SIGNATURE_INVALID


@given(at=st.integers(min_value=0, max_value=200), new=st.text(max_size=3))
def test_a_changed_header_leads_to_a_coded_refusal(at: int, new: str) -> None:
    """Whichever character is exchanged."""
    body = json.dumps(SUCCEEDED).encode()
    header = signed(body)["Stripe-Signature"]
    at %= len(header)
    take({"Stripe-Signature": header[:at] + new + header[at + 1 :]}, body)


@given(
    type_=st.sampled_from([*sorted(HANDLED_TYPES), "boxoffice.sandbox.clock_advanced"]),
    told=st.sampled_from([*_objects, {"object": "clock"}]),
    strange=st.dictionaries(_names | st.just("offset_seconds"), _json, max_size=3),
    outside=st.dictionaries(st.sampled_from(sorted(SUCCEEDED)), _json, max_size=1),
)
def test_any_signed_object_is_read_or_refused_in_code(
    type_: str, told: dict[str, object], strange: dict[str, object], outside: dict[str, object]
) -> None:
    """Whatever stands where, in the event or in its object."""
    body = json.dumps(event(type_, told | strange) | outside).encode()
    take(signed(body), body)

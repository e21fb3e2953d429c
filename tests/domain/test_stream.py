"""Tokens that callers keep, and what may be read from where."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.stream import (
    LogBounds,
    LogFilter,
    LogRecord,
    RecordKind,
    Token,
    TokenKind,
    check_position,
    decode_token,
)
from tests.support.tokens import a_token

LOG = uuid.UUID("0192f0c1-0000-7000-8000-00000000002a")
OTHER_LOG = uuid.UUID("0192f0c1-0000-7000-8000-00000000002b")
MOST = (1 << 63) - 1
_tokens = st.builds(
    a_token,
    log_id=st.uuids(),
    kind=st.sampled_from(TokenKind),
    number=st.integers(min_value=0, max_value=MOST),
)


def refused(text: str) -> None:
    """Have a token refused as none of ours."""
    with pytest.raises(BoxofficeError) as caught:
        decode_token(text)
    assert caught.value.reason is Reason.RESUME_TOKEN_INVALID


@given(_tokens)
def test_a_token_is_read_as_it_was_written(token: Token) -> None:
    """Every log, kind and number."""
    assert decode_token(token.encode()) == token


def test_a_token_is_written_the_same_for_ever() -> None:
    """Callers keep tokens for months, so their form never changes."""
    token = Token(log_id=LOG, kind=TokenKind.POSITION, number=90210)
    assert token.encode() == "AQEBkvDBAABwAIAAAAAAAAAqAAAAAAABYGIzpRNq"
    event = a_token(log_id=LOG, kind=TokenKind.EVENT, number=90210)
    assert event.encode() == (
        "AQMBkvDBAABwAIAAAAAAAAAqAAAAAAABYGJldnRfMDE5MmYwYzEwMDAwNzAwMDgwMDAwMDAwMDAwMDAwMmFtvMbl"
    )


def test_a_token_names_an_event_if_its_kind_does_and_no_other() -> None:
    """The checksum alone makes no token."""
    for kind in TokenKind:
        token = a_token(log_id=LOG, kind=kind, number=1)
        refused(replace(token, event_id="" if token.event_id else "evt_1").encode())


@given(_tokens)
def test_a_token_is_safe_in_an_address(token: Token) -> None:
    """No character of it has to be escaped."""
    text = token.encode()
    assert text.isascii()
    assert text.replace("-", "").replace("_", "").isalnum()


@given(
    token=_tokens,
    at=st.integers(min_value=0, max_value=39),
    new=st.characters() | st.sampled_from("+/-_= \n\x00A"),
)
def test_a_token_with_another_character_is_refused(token: Token, at: int, new: str) -> None:
    """Whichever one, wherever."""
    text = token.encode()
    changed = text[:at] + new + text[at + 1 :]
    if changed != text:
        refused(changed)


@given(token=_tokens, at=st.integers(min_value=0, max_value=39))
def test_a_token_that_is_cut_is_refused(token: Token, at: int) -> None:
    """At either end."""
    text = token.encode()
    refused(text[:at])
    refused(text[at + 1 :])


@given(token=_tokens, more=st.text(min_size=1, max_size=8) | st.sampled_from(["=", "==", "===="]))
def test_a_token_with_more_around_it_is_refused(token: Token, more: str) -> None:
    """Before it or behind it, padding and spaces included."""
    refused(token.encode() + more)
    refused(more + token.encode())


@given(st.text(max_size=60))
def test_any_other_text_is_refused(text: str) -> None:
    """Nothing but a coded refusal comes of it."""
    refused(text)


def test_two_tokens_for_one_place_are_one_text() -> None:
    """The other alphabet of base64 is not taken for ours."""
    for number in range(200):
        text = Token(log_id=LOG, kind=TokenKind.POSITION, number=number << 40).encode()
        if "-" in text or "_" in text:
            refused(text.replace("-", "+").replace("_", "/"))
            return
    raise AssertionError("no token with a character that differs")


# -- where a log can be read on from --------------------------------------------------------------

BOUNDS = LogBounds(log_id=LOG, earliest=11, head=20)
EMPTY = LogBounds(log_id=LOG, earliest=1, head=0)


@pytest.mark.parametrize("position", [10, 11, 19, 20])
def test_a_log_is_read_on_from_where_nothing_is_missing(position: int) -> None:
    """From just before the earliest record to the head."""
    check_position(BOUNDS, LOG, position)


def test_an_empty_log_is_read_from_its_beginning() -> None:
    """There is nothing before the first record."""
    check_position(EMPTY, LOG, 0)


@pytest.mark.parametrize(
    ("bounds", "log_id", "position", "reason", "metadata"),
    [
        (BOUNDS, LOG, 9, Reason.POSITION_COMPACTED, {"earliest": "11", "head": "20"}),
        (BOUNDS, LOG, 0, Reason.POSITION_COMPACTED, {"earliest": "11", "head": "20"}),
        (BOUNDS, LOG, 21, Reason.POSITION_AHEAD, {"head": "20"}),
        (EMPTY, LOG, 1, Reason.POSITION_AHEAD, {"head": "0"}),
        (BOUNDS, OTHER_LOG, 15, Reason.LOG_CHANGED, {"log_id": str(LOG)}),
        (BOUNDS, OTHER_LOG, 99, Reason.LOG_CHANGED, {"log_id": str(LOG)}),
    ],
)
def test_a_log_is_never_read_past_a_gap(
    bounds: LogBounds, log_id: uuid.UUID, position: int, reason: Reason, metadata: dict[str, str]
) -> None:
    """Too old, from the future, or of another log: each its own refusal."""
    with pytest.raises(BoxofficeError) as caught:
        check_position(bounds, log_id, position)
    assert caught.value.reason is reason
    assert caught.value.metadata == metadata


def test_the_heads_token_lies_behind_all_there_is() -> None:
    """A stream that starts there gets what comes next."""
    assert BOUNDS.head_token() == Token(log_id=LOG, kind=TokenKind.POSITION, number=20)


# -- what a reader wants --------------------------------------------------------------------------

RECORD = LogRecord(
    position=1,
    group="g",
    event_id="evt_1",
    kind=RecordKind.ORDER,
    subject_id="ord_1",
    user_id="user-1",
    product_id="prd_1",
    status="paid",
    create_time=datetime(2026, 11, 21, 12, tzinfo=UTC),
    payload=b"",
    scope="appStore/sandbox",
    subscription_group="premium",
)
EVERYTHING = LogFilter(kind=RecordKind.ORDER)


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (EVERYTHING, True),
        (replace(EVERYTHING, kind=RecordKind.PRODUCT), False),
        (replace(EVERYTHING, subject_id="ord_1"), True),
        (replace(EVERYTHING, subject_id="ord_2"), False),
        (replace(EVERYTHING, user_id="user-1"), True),
        (replace(EVERYTHING, user_id="user-2"), False),
        (replace(EVERYTHING, product_id="prd_1"), True),
        (replace(EVERYTHING, product_id="prd_2"), False),
        (replace(EVERYTHING, statuses=frozenset({"created", "paid"})), True),
        (replace(EVERYTHING, statuses=frozenset({"created"})), False),
        (replace(EVERYTHING, user_id="user-1", product_id="prd_2"), False),
        (replace(EVERYTHING, scopes=frozenset({"manual/sandbox", "appStore/sandbox"})), True),
        (replace(EVERYTHING, scopes=frozenset({"appStore/production"})), False),
        (replace(EVERYTHING, subscription_groups=frozenset({"basic", "premium"})), True),
        (replace(EVERYTHING, subscription_groups=frozenset({"basic"})), False),
    ],
)
def test_a_record_is_wanted_where_every_field_agrees(wanted: LogFilter, *, matches: bool) -> None:
    """An empty field asks for nothing."""
    assert wanted.matches(RECORD) is matches

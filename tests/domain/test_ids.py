"""Ids that sort by time, and ids that facts make."""

import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from boxoffice_server.domain.ids import Prefix, hashed_id, new_id
from boxoffice_server.domain.text import MAX_ID

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
_times = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001 -- hypothesis takes the zone apart
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


def test_a_new_id_is_a_uuid_of_version_7() -> None:
    """With the prefix that says what it names."""
    prefix, _, rest = new_id(Prefix.ORDER, NOW).partition("_")
    read = uuid.UUID(rest)
    assert prefix == "ord"
    assert (read.version, read.variant) == (7, uuid.RFC_4122)
    assert read.int >> 80 == int(NOW.timestamp() * 1000)


@given(first=_times, second=_times)
def test_new_ids_sort_by_time(first: datetime, second: datetime) -> None:
    """To the millisecond; lists by id are lists by time."""
    earlier, later = sorted((first, second))
    if later - earlier >= timedelta(milliseconds=1):
        assert new_id(Prefix.ORDER, earlier) < new_id(Prefix.ORDER, later)


def test_new_ids_of_one_moment_differ() -> None:
    """What the clock can't tell apart, chance does."""
    assert len({new_id(Prefix.ORDER, NOW) for _ in range(10_000)}) == 10_000


def test_a_hashed_id_is_the_same_for_ever() -> None:
    """It is part of what callers keep, so its making never changes."""
    assert hashed_id(Prefix.EVENT, "ord_1", "2") == "evt_adaa7c47a4f07b10b45ff3433e6a2fe1"


def test_parts_are_told_apart() -> None:
    """Where one part ends and the next begins matters."""
    assert hashed_id(Prefix.EVENT, "ab", "c") != hashed_id(Prefix.EVENT, "a", "bc")


def test_all_ids_fit_where_ids_are_taken() -> None:
    """What we hand out, we take back."""
    for prefix in Prefix:
        assert len(new_id(prefix, NOW)) <= MAX_ID
        assert len(hashed_id(prefix, "a" * 1000)) <= MAX_ID

"""How events are cut into frames."""

from datetime import UTC, datetime
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice_server.domain.stream import LogRecord, RecordKind
from boxoffice_server.streaming.frames import Chunk, Packer, varint

POSITION = pb.OrderEvent.POSITION_FIELD_NUMBER


def a_record(position: int, group: int, size: int) -> LogRecord:
    """A record whose payload is an event of about this size."""
    event = pb.OrderEvent(id=f"evt_{position}", order=pb.Order(payment_id="p" * size))
    return LogRecord(
        position=position,
        group=f"group-{group}",
        event_id=event.id,
        kind=RecordKind.ORDER,
        subject_id="ord_1",
        user_id="user-1",
        product_id="prd_1",
        status="created",
        create_time=datetime(2026, 1, 1, tzinfo=UTC),
        payload=event.SerializeToString(),
    )


def events_in(chunk: Chunk) -> list[pb.OrderEvent]:
    """The events of a chunk, as a client reads them."""
    return list(pb.WatchOrdersResponse.FromString(chunk.events).events)


@given(number=st.integers(0, 2**63 - 1))
def test_number_is_written_as_protobuf_writes_it(number: int) -> None:
    """So that any reader gets the position that was meant."""
    written = pb.OrderEvent(position=number).SerializeToString()
    expected = written if number else b"\x30\x00"
    assert varint(POSITION << 3) + varint(number) == expected


@given(
    groups=st.lists(st.lists(st.integers(0, 300), min_size=1, max_size=12), max_size=12),
    page=st.integers(1, 20),
    most_bytes=st.integers(100, 1500),
    most_events=st.integers(1, 10),
)
def test_frames_hold_every_event_once_and_no_transaction_is_split_in_silence(
    groups: list[list[int]], page: int, most_bytes: int, most_events: int
) -> None:
    """Whatever the sizes, and wherever the pages end that were read."""
    sizes = [(group, size) for group, members in enumerate(groups) for size in members]
    records = [a_record(at, group, size) for at, (group, size) in enumerate(sizes, 1)]
    packer = Packer(POSITION, most_bytes=most_bytes, most_events=most_events)
    chunks: list[Chunk] = []
    for first in range(0, len(records), page):
        chunks += packer.add(records[first : first + page])
    rest = packer.finish()
    chunks += [rest] if rest else []

    told = [event for chunk in chunks for event in events_in(chunk)]
    assert [event.position for event in told] == [record.position for record in records]
    assert [event.id for event in told] == [record.event_id for record in records]
    for chunk in chunks:
        assert chunk.count == len(events_in(chunk))
        assert chunk.count <= most_events
        assert chunk.count == 1 or len(chunk.events) <= most_bytes
        assert chunk.last == events_in(chunk)[-1].position
    ends = {list(members)[-1].position for _, members in groupby(records, lambda each: each.group)}
    assert [chunk.last in ends for chunk in chunks] == [not chunk.more for chunk in chunks]


def test_transaction_that_fits_is_not_split() -> None:
    """It begins a new frame rather than fill up the one before."""
    records = [a_record(at, group, 10) for at, group in enumerate([1, 1, 1, 2, 2, 2, 3], 1)]
    packer = Packer(POSITION, most_events=4)
    chunks = [*packer.add(records), packer.finish()]
    assert [chunk.count for chunk in chunks if chunk] == [3, 4]


def test_nothing_read_makes_no_frame() -> None:
    """An empty log has nothing to cut."""
    packer = Packer(POSITION)
    assert [*packer.add([])] == []
    assert packer.finish() is None

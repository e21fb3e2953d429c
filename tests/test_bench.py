"""The benchmarks measure what they say: right answers, each against its own baseline."""

import asyncio
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from bench.__main__ import BENCHES
from bench.footprint import Footprint, Write
from bench.h2load import h2load_rate
from bench.open_loop import at_rate
from bench.pace import Pace
from bench.report import Row, in_turns, quantile, table
from tests.support.processes import Process

ROOT = Path(__file__).parent.parent
BENCH_SECONDS = 120.0
WAIT_SECONDS = 30.0
NUMBER = r"\d[\d,.]*"

AT_THE_HIGHEST_RATE = (
    ": CPU of the service",
    ": a fixed calculation meanwhile",
    ": our share, p99, where that was fastest",
)
MEASURES = {
    "calls": [
        "CreatePaymentIntent, SQLite",
        "CreatePaymentIntent, SQLite: our share, p50",
        "CreatePaymentIntent, SQLite: our share, p99",
        "CreatePaymentIntent, PostgreSQL",
        "CreatePaymentIntent, PostgreSQL: our share, p50",
        "CreatePaymentIntent, PostgreSQL: our share, p99",
        "GetOrder, SQLite",
        "GetProduct, SQLite",
        "GetOrder, PostgreSQL",
        "GetProduct, PostgreSQL",
    ],
    "rate": [
        f"{call}, {store}{what}"
        for store in ("SQLite", "PostgreSQL")
        for call, *more in (
            ("CreatePaymentIntent at 100/s",),
            ("CreatePaymentIntent at 200/s",),
            ("CreatePaymentIntent at 300/s", *AT_THE_HIGHEST_RATE),
            ("ChargeUser at 300/s", *AT_THE_HIGHEST_RATE),
            ("CreatePaymentIntent while a stream tells of it", ": CPU of the service"),
        )
        for what in (
            ": our share, p50",
            ": our share, p99",
            ": answered without an error",
            *more,
        )
    ],
    "crowd": [
        "CreatePaymentIntent by 100 at once, SQLite",
        "CreatePaymentIntent by 100 at once, PostgreSQL",
    ],
    "append": [
        "append and number, SQLite",
        "append and number, PostgreSQL",
        "append and number, PostgreSQL",
    ],
    "delay": [
        "commit to watcher, SQLite, p50",
        "commit to watcher, SQLite, p99",
        "written meanwhile, SQLite",
        "commit to watcher, PostgreSQL, p50",
        "commit to watcher, PostgreSQL, p99",
        "written meanwhile, PostgreSQL",
    ],
    "catchup": [
        "catch-up over 1,200 events, SQLite",
        "catch-up over 1,200 events, PostgreSQL",
    ],
}

# What h2load 1.52 printed about 20 calls whose answers have 389 bytes.
H2LOAD = """
finished in 20.24ms, 988.24 req/s, 399.03KB/s
requests: 20 total, 20 started, 20 done, 20 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 20 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 8.08KB (8270) total, 162B (162) headers (space savings 89.20%), 7.70KB (7880) data
"""


@pytest.mark.parametrize("name", BENCHES)
def test_a_benchmark_gets_right_answers_and_prints_every_measure(name: str) -> None:
    """A small run checks all answers by itself, and fills in every cell of its table."""
    with Process([sys.executable, "-m", "bench", "--smoke", name], cwd=ROOT) as process:
        assert process.wait(seconds=BENCH_SECONDS) == 0, process.output
        conditions, _, printed = process.output.partition(f"\n{name}\n")
    told = [line.split()[0] for line in conditions.splitlines()]
    assert told == ["machine", "versions", "durable", "clients", "numbers"], process.output
    assert "PostgreSQL: fsync=on" in conditions
    rows = [line for line in printed.splitlines()[1:] if line and not line.endswith("in all")]
    cells = rf"(?P<measure>.+?)  +\S+ +{NUMBER} +{NUMBER} +{NUMBER}  \S.*"
    matches = [re.fullmatch(cells, row) for row in rows]
    assert [match and match["measure"] for match in matches] == MEASURES[name], process.output


def test_a_killed_benchmark_leaves_no_program_behind() -> None:
    """SIGTERM ends the programs that a benchmark has started, PostgreSQL among them."""
    with Process([sys.executable, "-m", "bench", "--smoke", "delay"], cwd=ROOT) as process:
        # PostgreSQL's, and the first one of the benchmark's own.
        wait_until(lambda: len(children(process.pid)) > 1)
        started = children(process.pid)
        process.terminate()
        assert process.wait() == 128 + signal.SIGTERM
        wait_until(lambda: not any(map(is_running, started)))


def wait_until(condition: Callable[[], bool]) -> None:
    """Waits for what no output tells of."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    """Lists the processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    """Tells whether a process is more than an entry that nobody has asked for yet."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_an_answer_of_another_length_spoils_a_round_of_h2load() -> None:
    """h2load counts refused gRPC calls as successes, so their bytes are counted."""
    assert h2load_rate(H2LOAD, calls=20, answer_bytes=394) == 988.24
    with pytest.raises(AssertionError, match="not the expected one"):
        h2load_rate(H2LOAD, calls=20, answer_bytes=400)
    with pytest.raises(AssertionError, match="h2load failed"):
        h2load_rate(H2LOAD.replace("0 failed", "1 failed"), calls=20, answer_bytes=394)


def test_rounds_are_taken_in_turns_and_compared_within_each() -> None:
    """A machine that is slow for one round changes no ratio."""
    told: list[str] = []

    def measure(name: str) -> float:
        told.append(name)
        return 10.0 * (1 + told.count(name))

    taken = in_turns(3, {"a": lambda: measure("a"), "b": lambda: 2 * measure("b")})
    assert told == ["a", "b", "a", "b", "a", "b"]
    row = Row(measure="m", unit="u", baseline=taken["a"], ours=taken["b"], against="a")
    assert row.ratio == 2
    assert row.cells() == ("m", "u", "30.0", "60.0", "2.00", "a")
    assert table([row]).splitlines()[1] == "m        u         30.0  60.0   2.00  a"


def test_the_machine_is_timed_as_long_as_a_round_takes() -> None:
    """Calculations go on beside what is measured, and each takes something of its core."""
    with Pace() as pace:
        wait_until(lambda: len(pace.taken) > 1)
    assert min(pace.taken) > 0


async def test_calls_at_a_rate_wait_for_none_before_them() -> None:
    """A call counts from when it was due, however long the one before takes; refusals are told."""
    last = asyncio.Event()
    held = {0: 0.001, 2: 0.002}

    async def call(number: int) -> int:
        if number == 0:
            await last.wait()
        elif number == 1:
            raise grpc.aio.AioRpcError(
                grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata()
            )
        else:
            last.set()
        return number

    told = await at_rate(100.0, 3, call, held.__getitem__)
    assert told["errors"] == 1
    # The first one had to wait for the last, which was due two hundredths of a second later, and
    # Stripe held the last one a millisecond longer.
    last_share, first_share = told["shares"]
    assert first_share - last_share > 0.0209


def test_what_a_call_wrote_is_written_again_under_other_names() -> None:
    """A footprint keeps its sizes, and no two share a name."""
    row = {"id": "pay_1", "payload": b"of pay_1", "amount": 1}
    seen = Footprint(
        first=[Write(table="payments", row=row)],
        second=[Write(table="payments", row=row, key=("id",))],
        names=frozenset({"pay_1"}),
    )
    again = seen.again()
    (name,) = again.names
    assert (len(name), name == "pay_1") == (5, False)
    assert again.first[0].row == {"id": name, "payload": b"of " + name.encode(), "amount": 1}
    assert again.first[0].statement("$") == (
        "INSERT INTO payments (id, payload, amount) VALUES ($1, $2, $3)"
    )
    assert again.second[0].statement("?") == (
        "UPDATE payments SET id = ?1, payload = ?2, amount = ?3 WHERE id = ?4"
    )
    assert again.second[0].values == [name, b"of " + name.encode(), 1, name]


def test_a_quantile_is_one_of_the_values() -> None:
    """The slowest of a hundred is their p99."""
    values = [float(value) for value in range(100)]
    assert (quantile(values, 0.5), quantile(values, 0.99), quantile([7.0], 0.99)) == (50, 99, 7)

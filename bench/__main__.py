"""Runs benchmarks and prints what came of them."""

import argparse
import signal
import sys
import time
from collections.abc import Callable

from bench.append import bench_append
from bench.calls import bench_calls
from bench.catch_up import bench_catch_up
from bench.conditions import conditions
from bench.crowd import bench_crowd
from bench.delay import bench_delay
from bench.lab import FULL, QUICK, SMOKE, Lab, opened_lab
from bench.rate import bench_rate
from bench.report import Row, table
from tests.support.postgres import PostgresServer

BENCHES: dict[str, Callable[[Lab], list[Row]]] = {
    "calls": bench_calls,
    "rate": bench_rate,
    "crowd": bench_crowd,
    "append": bench_append,
    "delay": bench_delay,
    "catchup": bench_catch_up,
}


def main() -> int:
    """Run the benchmarks that are named, or all."""
    options = _parser().parse_args()
    # A kill must not leave programs behind: it ends the blocks that own them.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    scale = SMOKE if options.smoke else QUICK if options.quick else FULL
    began = time.monotonic()
    with PostgresServer(durable=True) as postgres:
        print(conditions(scale, postgres), flush=True)
        for name in options.names or BENCHES:
            with opened_lab(scale, postgres) as lab:
                rows = BENCHES[name](lab)
            print(f"\n{name}\n{table(rows)}", flush=True)
    print(f"\n{time.monotonic() - began:.0f} s in all")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures the service against baselines in the same run.",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="within a minute, less exactly")
    size.add_argument(
        "--smoke", action="store_true", help="only to see that all is there and answers are right"
    )
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *BENCHES], default=[])
    return parser


if __name__ == "__main__":
    sys.exit(main())

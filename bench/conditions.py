"""Under which conditions numbers came about: without them, they say nothing."""

import os
import platform
import shutil
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import grpc

from bench.lab import Scale
from bench.report import number
from tests.support.postgres import PostgresServer

FLUSHES = 50


def conditions(scale: Scale, postgres: PostgresServer) -> str:
    """Tell of the machine, the programs, and how the numbers are made."""
    fsync = postgres.execute("SHOW fsync")
    commit = postgres.execute("SHOW synchronous_commit")
    server = postgres.execute("SHOW server_version").split()[0]
    reader = "h2load" if shutil.which("h2load") else "grpc.aio, for there is no h2load"
    told = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, "
        f"load average {os.getloadavg()[0]:.2f}; everything on loopback",
        "versions": f"Python {platform.python_version()} ({Path(sys.executable).resolve()}), "
        f"grpcio {grpc.__version__}, SQLite {sqlite3.sqlite_version}, PostgreSQL {server}",
        "durable": f"SQLite: WAL, synchronous=FULL; PostgreSQL: fsync={fsync}, "
        f"synchronous_commit={commit}; an fsync takes {number(flush_seconds() * 1000)} ms here",
        "clients": f"reads by {reader}; all else by grpc.aio; in processes of their own",
        "numbers": f"medians of {scale.rounds} rounds, baseline and ours in turns; "
        "the ratio is the median of the rounds' ratios",
    }
    return "\n".join(f"{name:<10}{what}" for name, what in told.items())


def flush_seconds() -> float:
    """Measure how long this machine takes to flush a small write to its disk."""
    taken = []
    with tempfile.TemporaryFile() as file:
        for _ in range(FLUSHES):
            file.write(b"x" * 4096)
            file.flush()
            begin = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - begin)
    return median(taken)

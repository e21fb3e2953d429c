"""h2load as the client of unary calls: https://nghttp2.org/documentation/h2load.1.html."""

import re
import shutil
import subprocess
from pathlib import Path

from bench.shop import Call

CONNECTIONS = 2
MOST_SECONDS = 60.0


def find_h2load() -> str | None:
    """Find the program; Debian has it in nghttp2-client."""
    return shutil.which("h2load")


def run_h2load(
    program: str, address: str, call: Call, *, callers: int, calls: int, folder: Path
) -> float:
    """Repeat a call, and answer how many were done per second."""
    body = folder / "request"
    # A gRPC message: not compressed, its length, its bytes.
    body.write_bytes(b"\0" + len(call.request).to_bytes(4) + call.request)
    command = [program, f"--requests={calls}", f"--clients={CONNECTIONS}", "--threads=1"]
    command += [f"--max-concurrent-streams={callers // CONNECTIONS}", f"--data={body}"]
    command += ["--header=content-type: application/grpc", "--header=te: trailers"]
    command += [f"http://{address}{call.method}"]
    result = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=MOST_SECONDS
    )
    return h2load_rate(result.stdout, calls=calls, answer_bytes=5 + len(call.answer))


def h2load_rate(said: str, *, calls: int, answer_bytes: int) -> float:
    """Read the calls per second off h2load's report, if all answers were as long as they must be.

    It looks neither into answers nor into trailers, so a refused call shows by its length alone.
    """
    rate = re.search(r"^finished in .*?, ([\d.]+) req/s", said, re.MULTILINE)
    data = re.search(r"\((\d+)\) data$", said, re.MULTILINE)
    good = f"{calls} succeeded, 0 failed, 0 errored, 0 timeout" in said
    if rate is None or data is None or not good:
        raise AssertionError(f"h2load failed:\n{said}")
    assert int(data[1]) == calls * answer_bytes, f"an answer was not the expected one:\n{said}"
    return float(rate[1])

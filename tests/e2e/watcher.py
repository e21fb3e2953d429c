"""A watcher in a process of its own, made to be killed: `python -m tests.e2e.watcher ADDRESS FILE`.

It keeps each transaction's events together with the token that goes on after them, in one line, as
one write; what it had not kept when it was killed it is told again.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from boxoffice.common.v1 import streams_pb2
from boxoffice_client import Start, open_channel, watch_orders


def kept(file: Path) -> tuple[list[str], str]:
    """The ids of all events that were kept, and the token to go on from."""
    events: list[str] = []
    token = ""
    for line in file.read_bytes().splitlines(keepends=True):
        # A line without its end was being written when the watcher was killed.
        if line.endswith(b"\n"):
            told = json.loads(line)
            events += told["events"]
            token = told["token"]
    return events, token


async def watch(address: str, file: Path) -> None:
    """Go on from what was kept, until killed."""
    _, token = kept(file)
    start: Start = token or streams_pb2.START_POSITION_EARLIEST
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND)
    told: list[str] = []
    async with open_channel(address) as channel, watch_orders(channel, start=start) as watching:
        async for watched in watching:
            told.append(watched.event.id)
            if watched.resume_token != token:
                token = watched.resume_token
                line = json.dumps({"events": told, "token": token}) + "\n"
                os.write(descriptor, line.encode())
                told = []


if __name__ == "__main__":
    asyncio.run(watch(sys.argv[1], Path(sys.argv[2])))

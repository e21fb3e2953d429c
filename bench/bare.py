"""The baseline: a grpc.aio server that does nothing but send bytes it was given before.

It parses no request and serialises no answer, has no interceptor and no store.
"""

import asyncio
import re
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import grpc

from bench.canned_stripe import intent_id
from bench.child import Answer, obey
from bench.frames import TimedFrame, read_frames
from boxoffice_server.runtime import run

Context = grpc.aio.ServicerContext[bytes, bytes]

_INTENT_ID = re.compile(rb"pi_\d{8}_\d{8}")


class Bare(grpc.GenericRpcHandler):
    """Answers whatever method it was given an answer for; every other call is a stream."""

    def __init__(self) -> None:
        self._unary: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {}
        self._stream: grpc.RpcMethodHandler[bytes, bytes]
        self._stream = grpc.unary_stream_rpc_method_handler(self._send_frames)
        self._frames: list[TimedFrame] = []
        self._repeats = 0
        self._queues: set[asyncio.Queue[bytes]] = set()
        self._numbers = count(1)

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes]":
        return self._unary.get(handler_call_details.method, self._stream)

    async def answer(self, *, method: str, body: str, delay: float) -> Answer:
        """Answer a method by these bytes from now on, after a delay."""
        raw = bytes.fromhex(body)
        reply = self._delayed(raw, delay) if delay else _immediate(raw)
        self._unary[method] = grpc.unary_unary_rpc_method_handler(reply)
        return {}

    def _delayed(self, raw: bytes, delay: float) -> Callable[..., Any]:
        async def reply(_: bytes, __: Context) -> bytes:
            started = time.perf_counter()
            await asyncio.sleep(delay)
            waited = intent_id(next(self._numbers), time.perf_counter() - started)
            return _INTENT_ID.sub(waited.encode(), raw)

        return reply

    async def load(self, *, path: str, repeats: int) -> Answer:
        """Read the frames to send.

        A stream gets all of them as fast as it takes them, so many times; or, for no times, the
        first one at once and the others as they are pushed.
        """
        self._frames = await asyncio.to_thread(read_frames, Path(path))
        self._repeats = repeats
        return {}

    async def push(self) -> Answer:
        """Give all frames but the first one to all streams, when their times come."""
        loop = asyncio.get_running_loop()
        pushed = []
        begin = loop.time() - self._frames[1][0]
        for offset, frame in self._frames[1:]:
            if (wait := begin + offset - loop.time()) > 0:
                await asyncio.sleep(wait)
            pushed.append(time.monotonic())
            for queue in self._queues:
                queue.put_nowait(frame)
        return {"pushed": pushed}

    async def _send_frames(self, request: bytes, context: Context) -> None:
        del request
        if self._repeats:
            for _ in range(self._repeats):
                for _, frame in self._frames:
                    await context.write(frame)
            return
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._queues.add(queue)
        try:
            await context.write(self._frames[0][1])
            while True:
                await context.write(await queue.get())
        finally:
            self._queues.remove(queue)


def _immediate(raw: bytes) -> Callable[..., Any]:
    async def reply(_: bytes, __: Context) -> bytes:
        return raw

    return reply


async def main() -> None:
    """Serve on a free port until standard input ends."""
    bare = Bare()
    server = grpc.aio.server(handlers=[bare])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    async def address() -> Answer:
        return {"address": f"127.0.0.1:{port}"}

    await obey({"address": address, "answer": bare.answer, "load": bare.load, "push": bare.push})
    await server.stop(0)


if __name__ == "__main__":
    run(main())

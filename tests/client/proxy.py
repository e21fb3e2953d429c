"""A TCP proxy that cuts its connections when told to, as a network does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.streaming.reading import eventually


class Proxy:
    """Passes bytes between clients and one address, until it cuts them off."""

    def __init__(self, target: str) -> None:
        self.address = ""
        self.cuts = 0
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._pipes: set[asyncio.Task[None]] = set()
        self._connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what one connection says, both ways, until either side ends it."""
        self._connections += 1
        back_reader, back_writer = await asyncio.open_connection(self._host, self._port)
        pipes = {
            asyncio.create_task(_pipe(reader, back_writer)),
            asyncio.create_task(_pipe(back_reader, writer)),
        }
        self._pipes |= pipes
        try:
            await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._pipes -= pipes
            for pipe in pipes:
                pipe.cancel()
            for each in (writer, back_writer):
                each.transport.abort()
            await asyncio.gather(*pipes, return_exceptions=True)
            self._connections -= 1

    async def ended(self) -> None:
        """Wait until no connection is left."""
        await eventually(lambda: not self._connections)

    def cut(self) -> None:
        """Cut every connection in the middle of whatever it says."""
        self.cuts += 1
        for pipe in self._pipes:
            pipe.cancel()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def proxy_to(target: str) -> AsyncIterator[Proxy]:
    """Run a proxy on a free port."""
    proxy = Proxy(target)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    proxy.address = f"{host}:{port}"
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut()
        await proxy.ended()

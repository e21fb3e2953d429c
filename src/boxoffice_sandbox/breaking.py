"""Answers that don't arrive whole: what faults make of them."""

from aiohttp import web


def broken(request: web.Request) -> web.Response:
    """Break the connection; the response that aiohttp wants is never sent."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def truncated(request: web.Request, *, status: int, body: bytes) -> web.StreamResponse:
    """Promise the whole body, send half of it and break the connection."""
    response = web.StreamResponse(
        status=status,
        headers={"Content-Type": "application/json", "Content-Length": str(len(body))},
    )
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response

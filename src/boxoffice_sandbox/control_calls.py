"""What all control calls share: JSON in, JSON out, and refusals in words."""

import json
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from aiohttp import web

from boxoffice_sandbox.errors import StripeError, invalid_request

Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answering_errors(handler: Handler) -> Handler:
    """Make a refusal of the work behind a control call its JSON answer."""

    @wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except StripeError as error:
            return web.json_response({"error": error.fields}, status=error.status)

    return answer


def base_url(request: web.Request) -> str:
    """Return the address under which the caller found the sandbox."""
    return f"{request.scheme}://{request.host}"


async def body(request: web.Request, known: dict[str, tuple[type, ...]]) -> Json:
    """Return the JSON object in a request; unknown members and wrong types are refused."""
    text = await request.text()
    try:
        data = json.loads(text) if text.strip() else {}
    except ValueError as error:
        message = f"The body is not JSON: {error}"
        raise invalid_request(message) from error
    if not isinstance(data, dict):
        message = "The body is not a JSON object."
        raise invalid_request(message)
    for name, value in data.items():
        if name not in known:
            message = f"Unknown member {name}: this call takes {', '.join(known)}."
            raise invalid_request(message)
        if not isinstance(value, known[name]) or (
            isinstance(value, bool) and bool not in known[name]
        ):
            names = " or ".join(kind.__name__ for kind in known[name])
            message = f"{name} must be {names}."
            raise invalid_request(message)
    return data

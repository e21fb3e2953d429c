"""The HTTP client under the SDK: aiohttp, with every fault of the line made the SDK's own.

`stripe.AIOHTTPClient` lets aiohttp's exceptions through once the headers are there, and the SDK
trips over an answer that no Stripe wrote (a proxy's page, a body cut off). Both become an
APIConnectionError here: something may have happened, and we don't know what.
"""

import ssl
from collections.abc import Mapping

import aiohttp
import stripe
from stripe import AIOHTTPClient, APIConnectionError

from boxoffice_server.vendors.json_object import MalformedObjectError, parse_object

# What aiohttp raises before the first byte of a request has left.
_BEFORE_SENDING = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
)
_SUCCESS = range(200, 300)


# How many connections there may be to Stripe: more than all that is asked at once, for the time
# that a request waits for one counts as Stripe's. aiohttp's own limit is 100.
MOST_CONNECTIONS = 512


class StripeHttpClient(AIOHTTPClient):
    """The SDK's aiohttp client, for the event loop on which it is made."""

    def __init__(self, *, timeout_seconds: float) -> None:
        context = ssl.create_default_context(cafile=stripe.ca_bundle_path)
        super().__init__(
            timeout=aiohttp.ClientTimeout(total=timeout_seconds),
            connector=aiohttp.TCPConnector(ssl=context, limit=MOST_CONNECTIONS),
        )

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: object = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Send one request and read the whole answer, or raise APIConnectionError."""
        try:
            body, status, answer_headers = await super().request_async(
                method, url, headers, post_data
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _broken("the answer broke off") from error
        try:
            _check_answer(body, status)
        except MalformedObjectError as error:
            # The answer's text may hold a client secret, so it is not shown.
            raise _broken(f"HTTP {status} that is no answer of Stripe's") from error
        return body, status, answer_headers

    async def close_session(self) -> None:
        """Close all connections."""
        await self.close_async()  # type: ignore[no-untyped-call]  # the SDK gives it no types


def never_sent(error: APIConnectionError) -> bool:
    """Tell whether the line failed before anything of the request could reach Stripe."""
    return isinstance(error.__cause__, _BEFORE_SENDING)


def _check_answer(body: bytes, status: int) -> None:
    answer = parse_object(body)
    if status not in _SUCCESS and not answer.child("error").fields:
        raise MalformedObjectError("there is no error in it")


def _broken(message: str) -> APIConnectionError:
    return APIConnectionError(message)  # type: ignore[no-untyped-call]  # the SDK gives it no types

"""The asking machinery over Stripe's official SDK.

Every write carries our own idempotency key, so it may be sent any number of times. The SDK's own
retries are off: what an answer means depends on what earlier requests with the same key may have
done, and only the loop here knows those.
"""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar, assert_never, cast

import stripe
import structlog
from stripe import StripeResponse

from boxoffice_server.domain.errors import BoxofficeError
from boxoffice_server.vendors.json_object import JsonObject, MalformedObjectError
from boxoffice_server.vendors.stripe import refusals
from boxoffice_server.vendors.stripe.http_client import StripeHttpClient
from boxoffice_server.vendors.stripe.refusals import Outcome

T = TypeVar("T")
P = TypeVar("P", bound=Mapping[str, object])

# The most that Stripe puts on a page (https://docs.stripe.com/api/pagination).
PAGE_SIZE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to go on asking Stripe about one thing.

    One request is given up after `request`, and a whole call, repeats and pauses included, after
    `call`: shorter than the lease of an operation. There are as many repeats as `pauses`; each
    pause is cut by a random part of up to a half, so that many callers don't come back at once.
    """

    request: timedelta = timedelta(seconds=10)
    call: timedelta = timedelta(seconds=20)
    pauses: tuple[timedelta, ...] = (
        timedelta(seconds=0.5),
        timedelta(seconds=1),
        timedelta(seconds=2),
    )


def _nothing(_error: stripe.StripeError) -> JsonObject | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One thing to ask: under which name it is logged, what it is about, and how it is sent.

    `answer_in` finds the answer that an error holds: what a decline has left behind, or that what
    was asked for is done already. It is given only errors that settle the call.
    """

    name: str
    about: Mapping[str, str]
    writes: bool
    send: Callable[[], Awaitable[stripe.StripeObject | StripeResponse]]
    answer_in: Callable[[stripe.StripeError], JsonObject | None] = _nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A list to read: `send` asks for the page after an object, the first one where it is empty."""

    name: str
    about: Mapping[str, str]
    send: Callable[[str], Awaitable[stripe.StripeObject]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    told: JsonObject
    request_id: str | None


class StripeConnection:
    """All that is asked of Stripe goes through one of these.

    It is made on the event loop that uses it. Its session opens at the first call and ends with
    `close`. `v1` is the SDK's client.
    """

    def __init__(self, *, api_key: str, api_base: str, patience: Patience | None = None) -> None:
        self._patience = patience or Patience()
        # The SDK would write an id file into the home folder and report how fast each request was.
        stripe.enable_telemetry = False
        # On its finer levels the SDK logs the bodies of answers, client secrets among them.
        logging.getLogger("stripe").setLevel(logging.WARNING)
        self._http = StripeHttpClient(timeout_seconds=self._patience.request.total_seconds())
        client = stripe.StripeClient(
            api_key,
            base_addresses={"api": api_base},
            http_client=self._http,
            max_network_retries=0,
        )
        self.v1 = client.v1
        self._client = client
        self._log = structlog.get_logger(part="stripe")

    async def close(self) -> None:
        """Close the connections. No call may be running."""
        await self._http.close_session()

    async def ask(self, call: Call, read: Callable[[JsonObject], T]) -> T:
        """Ask until Stripe's answer settles what happened, and read the answer.

        Raises the errors that the ports promise.
        """
        try:
            async with asyncio.timeout(self._patience.call.total_seconds()):
                answer = await self._send(call)
        except TimeoutError:
            self._log.warning("stripe did not answer in time", call=call.name, **call.about)
            raise _undecided(call) from None
        about = {"call": call.name, "vendor_request_id": answer.request_id, **call.about}
        try:
            told = read(answer.told)
        except MalformedObjectError as error:
            self._log.exception("stripe's answer can't be read", **about)
            raise _undecided(call) from error
        self._log.info("stripe answered", **about)
        return told

    async def post(self, path: str, params: Mapping[str, object], *, key: str) -> StripeResponse:
        """Post by the SDK's client, which leaves the answer as it came.

        To make its own objects of an answer takes the SDK longer than to ask for it.
        """
        answer: StripeResponse = await self._client.raw_request_async(
            "post", path, **params, idempotency_key=key
        )
        return answer

    async def pages(self, listing: Listing) -> AsyncGenerator[list[JsonObject]]:
        """Read a list to its end, page by page; each page is a call of its own."""
        last: str | None = ""
        while last is not None:
            items, last = await self.ask(_page_call(listing, last), _page)
            yield items

    async def find(
        self,
        listing: Listing,
        wanted: Callable[[JsonObject], bool],
        read: Callable[[JsonObject], T],
    ) -> T | None:
        """Read a list, newest first as Stripe's are, until something in it is what is wanted."""
        last: str | None = ""
        while last is not None:
            found, last = await self.ask(_page_call(listing, last), _finder(wanted, read))
            if found is not None:
                return found
        return None

    async def _send(self, call: Call) -> _Answer:
        """Send until Stripe's answer settles what happened, or patience ends."""
        repeated = False
        for pause in (*self._patience.pauses, None):
            try:
                return _whole(await call.send())
            except stripe.StripeError as error:
                # Raised after this block, so that it does not carry Stripe's exception along.
                found = call.answer_in(error) if refusals.is_final(error) else None
                if found is not None:
                    return _Answer(told=found, request_id=error.request_id)
                refusal = self._judge(call, error, repeated=repeated, last=pause is None)
            if refusal is not None:
                raise refusal
            repeated = True
            if pause is not None:
                part = random.uniform(0.5, 1)  # noqa: S311 -- spreads load, guards nothing
                await asyncio.sleep(pause.total_seconds() * part)
        raise AssertionError("the last request is always judged")

    def _judge(
        self, call: Call, error: stripe.StripeError, *, repeated: bool, last: bool
    ) -> BoxofficeError | None:
        """Tell how the caller is refused; None to send the request again."""
        outcome = refusals.outcome_of(error)
        unsettled = outcome in (Outcome.REFUSED, Outcome.NOT_DONE) and not refusals.is_final(error)
        if call.writes and repeated and unsettled:
            # An earlier request may have done what this one did not.
            outcome = Outcome.UNKNOWN
        self._tell(call, error, outcome)
        match outcome:
            case Outcome.REFUSED:
                return refusals.refused(error, call.about)
            case Outcome.NOT_DONE:
                return refusals.not_done(error, call.about)
            case Outcome.SETTLED_UNKNOWN:
                if call.writes:
                    return refusals.key_spent(error, call.about)
                return refusals.unreadable(call.about, error)
            case Outcome.UNKNOWN:
                return _undecided(call, error) if last else None
            case Outcome.KEY_REUSED:
                return refusals.key_reused(error, call.about)
            case _:
                assert_never(outcome)

    def _tell(self, call: Call, error: stripe.StripeError, outcome: Outcome) -> None:
        ours = isinstance(error, stripe.AuthenticationError | stripe.IdempotencyError)
        self._log.log(
            logging.ERROR if ours else logging.WARNING,
            "stripe refused the api key"
            if isinstance(error, stripe.AuthenticationError)
            else "stripe call failed",
            call=call.name,
            outcome=outcome,
            http_status=error.http_status,
            vendor_code=error.code,
            vendor_request_id=error.request_id,
            fault=refusals.without_secrets(error.user_message or ""),
            **call.about,
        )


def page_after(params: P, after: str) -> P:
    """Complete the parameters of a list: the page after this object, the first if empty."""
    page = {**params, "limit": PAGE_SIZE}
    return cast("P", page | {"starting_after": after} if after else page)


def _whole(answer: stripe.StripeObject | StripeResponse) -> _Answer:
    if isinstance(answer, StripeResponse):
        told = cast("Mapping[str, object]", answer.data)
        return _Answer(told=JsonObject(told), request_id=answer.request_id)
    response = answer.last_response
    return _Answer(
        told=JsonObject(answer.to_dict(for_json=True)),
        request_id=response.request_id if response else None,
    )


def _page_call(listing: Listing, after: str) -> Call:
    return Call(
        name=listing.name, about=listing.about, writes=False, send=lambda: listing.send(after)
    )


def _finder(
    wanted: Callable[[JsonObject], bool], read: Callable[[JsonObject], T]
) -> Callable[[JsonObject], tuple[T | None, str | None]]:
    """Make the reader that looks for one thing on a page, and tells where the next page begins."""

    def search(page: JsonObject) -> tuple[T | None, str | None]:
        items, last = _page(page)
        found = next((each for each in items if wanted(each)), None)
        return (None, last) if found is None else (read(found), last)

    return search


def _page(page: JsonObject) -> tuple[list[JsonObject], str | None]:
    """Read a page, and after which object the next one begins; None: this was the last."""
    items = page.children("data")
    more = page.flag("has_more") and bool(items)
    return items, items[-1].identifier("id") if more else None


def _undecided(call: Call, error: stripe.StripeError | None = None) -> BoxofficeError:
    return (refusals.unknown if call.writes else refusals.unreadable)(call.about, error)

"""What an error of the SDK's means for us, and how our callers are told.

What each error leaves behind at Stripe: https://docs.stripe.com/error-low-level and
https://docs.stripe.com/api/idempotent_requests.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from http import HTTPStatus

import stripe

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.ports import KeySpentError
from boxoffice_server.vendors.json_object import JsonObject
from boxoffice_server.vendors.stripe.http_client import never_sent

_SECRET = re.compile(r"\b(?:[a-z]{2,5}_(?:live|test)_|whsec_)[\w*]+|(?<=_secret_)\w+")

_ASK_AGAIN_SOON = timedelta(seconds=1)
_ASK_AGAIN_LATER = timedelta(seconds=30)
_LONGEST_WAIT_SECONDS = 60


class Outcome(StrEnum):
    """What a call that did not succeed has left at Stripe.

    REFUSED: nothing, and the same request never will do more. NOT_DONE: nothing, but the same
    request may do later what it asks for. UNKNOWN: perhaps everything; asking again under the same
    key finds out. SETTLED_UNKNOWN: perhaps everything, and that key only gets the same answer.
    KEY_REUSED: our own fault, the key belongs to another request.
    """

    REFUSED = "refused"
    NOT_DONE = "not_done"
    UNKNOWN = "unknown"
    SETTLED_UNKNOWN = "settled_unknown"
    KEY_REUSED = "key_reused"


def outcome_of(error: stripe.StripeError) -> Outcome:
    """Tell what an error of the SDK's leaves at Stripe, as far as this one request goes."""
    match error:
        case stripe.IdempotencyError():
            return Outcome.KEY_REUSED
        case stripe.AuthenticationError() | stripe.RateLimitError():
            return Outcome.NOT_DONE
        case stripe.APIConnectionError():
            return Outcome.NOT_DONE if never_sent(error) else Outcome.UNKNOWN
        case stripe.InvalidRequestError() | stripe.CardError() | stripe.PermissionError():
            return Outcome.REFUSED
        case _:
            # 5xx, where the endpoint may have done its work before it failed, and 409: another
            # request with the same key is being worked on. A stored 500 is replayed for ever.
            # A 409 is stored by nobody: another key would do the work of its request twice.
            replayed = _header(error, "idempotent-replayed") == "true"
            pointless = _header(error, "stripe-should-retry") == "false"
            stored = (replayed or pointless) and error.http_status != HTTPStatus.CONFLICT
            return Outcome.SETTLED_UNKNOWN if stored else Outcome.UNKNOWN


def is_final(error: stripe.StripeError) -> bool:
    """Tell whether the answer also settles what became of earlier requests with the same key.

    Stripe answers a request whose key it knows with what it answered first, so a fault of the
    parameters or a decline means that no earlier one did anything. A wrong key, a missing
    permission or too many requests are told before the key is looked at, and settle nothing.
    """
    return isinstance(error, stripe.InvalidRequestError | stripe.CardError)


def refused(error: stripe.StripeError, about: Mapping[str, str]) -> BoxofficeError:
    """Tell the caller that Stripe said no, in Stripe's words."""
    told = _words(error)
    return BoxofficeError(
        Reason.VENDOR_REFUSED,
        f"Stripe refused: {told.pop('vendor_message', 'it gave no reason')}",
        metadata={**about, **told},
    )


def not_done(error: stripe.StripeError, about: Mapping[str, str]) -> BoxofficeError:
    """Tell the caller that nothing happened, and when to ask again."""
    return BoxofficeError(
        Reason.VENDOR_UNAVAILABLE,
        "Stripe could not be asked; nothing happened there",
        metadata={**about, **_request_id(error)},
        retry_after=_wait(error),
    )


def unknown(about: Mapping[str, str], error: stripe.StripeError | None = None) -> BoxofficeError:
    """Tell the caller that something may have happened."""
    return BoxofficeError(
        Reason.OUTCOME_UNKNOWN,
        "Stripe was asked and did not answer; what was asked for may have happened",
        metadata={**about, **_request_id(error)},
        retry_after=_ASK_AGAIN_SOON,
    )


def key_spent(error: stripe.StripeError, about: Mapping[str, str]) -> KeySpentError:
    """Tell the caller that something may have happened, and that this key won't find out."""
    return KeySpentError(
        Reason.OUTCOME_UNKNOWN,
        "Stripe failed, and what was asked for may have happened; it answers this key no more",
        metadata={**about, **_request_id(error)},
        retry_after=_ASK_AGAIN_SOON,
    )


def fault_of(error: stripe.StripeError) -> JsonObject:
    """Read what Stripe says of an error; an empty object where it said nothing."""
    body = error.json_body
    fault = body.get("error") if isinstance(body, dict) else None
    return JsonObject(fault if isinstance(fault, dict) else {})


def unreadable(about: Mapping[str, str], error: stripe.StripeError | None = None) -> BoxofficeError:
    """Tell the caller that nothing could be read; a read leaves nothing behind."""
    return BoxofficeError(
        Reason.VENDOR_UNAVAILABLE,
        "Stripe was asked and did not answer; asking changes nothing there",
        metadata={**about, **_request_id(error)},
        retry_after=_ASK_AGAIN_SOON,
    )


def key_reused(error: stripe.StripeError, about: Mapping[str, str]) -> BoxofficeError:
    """Tell that we broke our own rule: one key, one request."""
    return BoxofficeError(
        Reason.INTERNAL,
        "an idempotency key was used for two different requests",
        metadata={**about, **_request_id(error)},
    )


def without_secrets(text: str) -> str:
    """Blot out whatever looks like a key, a webhook secret or a client secret."""
    return _SECRET.sub("[…]", text)


def _words(error: stripe.StripeError) -> dict[str, str]:
    told = error.error
    words = {
        "vendor_message": error.user_message,
        "vendor_code": error.code or (told.code or told.type if told else None),
        "vendor_decline_code": told.decline_code if told else None,
        "vendor_param": told.param if told else None,
    }
    found = {name: without_secrets(str(text)) for name, text in words.items() if text}
    return {**found, **_request_id(error)}


def _request_id(error: stripe.StripeError | None) -> dict[str, str]:
    if error is None or not error.request_id:
        return {}
    return {"vendor_request_id": error.request_id}


def _wait(error: stripe.StripeError) -> timedelta:
    """Tell when to ask again: as Stripe says, or later where a person must act first."""
    seconds = _header(error, "retry-after")
    if (
        seconds.isascii()
        and seconds.isdecimal()
        and len(seconds) <= len(str(_LONGEST_WAIT_SECONDS))
    ):
        return timedelta(seconds=min(max(int(seconds), 1), _LONGEST_WAIT_SECONDS))
    return _ASK_AGAIN_LATER if isinstance(error, stripe.AuthenticationError) else _ASK_AGAIN_SOON


def _header(error: stripe.StripeError, name: str) -> str:
    headers = error.headers or {}
    return str(headers.get(name, ""))

"""Stripe's errors: what the endpoints raise and the bodies that come of them."""

from typing import Any

Json = dict[str, Any]

_SHOWN_HEAD, _SHOWN_TAIL = 8, 4
DOC_URL = "https://stripe.com/docs/error-codes/"


class StripeError(Exception):
    """An answer other than 2xx, in Stripe's own form.

    `keep_changes` says that what the request wrote so far stays written: a declined payment
    leaves its failed charge behind, a refused request leaves nothing.
    """

    def __init__(
        self,
        status: int,
        fields: Json,
        *,
        keep_changes: bool = False,
        executed: bool = True,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Take the HTTP status and the members of `error`; members that are None are left out."""
        super().__init__(fields.get("message", ""))
        self.status = status
        self.fields = {key: value for key, value in fields.items() if value is not None}
        self.keep_changes = keep_changes
        self.executed = executed
        self.headers = headers or {}
        if "code" in self.fields:
            code = str(self.fields["code"]).replace("_", "-")
            self.fields.setdefault("doc_url", f"{DOC_URL}{code}")

    def body(self, *, account_id: str, request_id: str) -> Json:
        """Return the whole JSON body, with the link to the request's log as Stripe adds it."""
        log_url = f"https://dashboard.stripe.com/{account_id}/test/workbench/logs"
        fields = {**self.fields, "request_log_url": f"{log_url}?object={request_id}"}
        return {"error": dict(sorted(fields.items()))}


def invalid_request(
    message: str,
    *,
    param: str | None = None,
    code: str | None = None,
    status: int = 400,
    executed: bool = True,
    **more: Any,  # noqa: ANN401  (further members of the error: objects, strings)
) -> StripeError:
    """Make an `invalid_request_error`."""
    fields = {"type": "invalid_request_error", "message": message, "param": param, "code": code}
    return StripeError(status, {**fields, **more}, executed=executed)


def malformed(message: str, *, param: str, code: str | None = None) -> StripeError:
    """Make an error of parameter validation, which happens before an endpoint starts."""
    return invalid_request(message, param=param, code=code, executed=False)


def card_error(
    message: str,
    *,
    code: str,
    decline_code: str | None = None,
    param: str | None = None,
    keep_changes: bool = True,
    **more: Any,  # noqa: ANN401
) -> StripeError:
    """Make a `card_error`: HTTP 402, with what the attempt left behind kept."""
    fields = {"type": "card_error", "message": message, "code": code}
    return StripeError(
        402,
        {**fields, "decline_code": decline_code, "param": param, **more},
        keep_changes=keep_changes,
    )


def missing(kind: str, object_id: str, *, param: str, status: int = 400) -> StripeError:
    """Make the error for an id that names nothing: 404 in a path, 400 in a parameter."""
    name = {"payment_method": "PaymentMethod"}.get(kind, kind)
    return invalid_request(
        f"No such {name}: '{object_id}'", param=param, code="resource_missing", status=status
    )


def idempotency_error(message: str) -> StripeError:
    """Make the error for a key that was used for something else."""
    return StripeError(400, {"type": "idempotency_error", "message": message}, executed=False)


def key_in_use(key: str) -> StripeError:
    """Make the 409 for a key whose first request is still running."""
    message = (
        "There is currently another in-progress request using this Idempotent Key (that probably "
        f"means you submitted twice, and the other request is still going through): {key}. "
        "Please try again later."
    )
    fields = {"type": "idempotency_error", "code": "idempotency_key_in_use", "message": message}
    return StripeError(409, fields, executed=False, headers={"Stripe-Should-Retry": "true"})


def lock_timeout() -> StripeError:
    """Make the 409 for an object that another request holds."""
    message = (
        "This object cannot be accessed right now because another API request or Stripe process "
        "is currently accessing it. If you see this error intermittently, retry the request."
    )
    fields = {"type": "invalid_request_error", "code": "lock_timeout", "message": message}
    return StripeError(409, fields, executed=False, headers={"Stripe-Should-Retry": "true"})


def rate_limited(wait_seconds: int = 1) -> StripeError:
    """Make the 429 of the global limiter, with the pause it asks for."""
    message = (
        "Request rate limit exceeded. Learn more about rate limits here "
        "https://stripe.com/docs/rate-limits."
    )
    fields = {"type": "invalid_request_error", "code": "rate_limit", "message": message}
    headers = {
        "Retry-After": str(wait_seconds),
        "Stripe-Rate-Limited-Reason": "global-rate",
        "Stripe-Should-Retry": "false",
    }
    return StripeError(429, fields, executed=False, headers=headers)


def server_error(status: int = 500) -> StripeError:
    """Make Stripe's own failure: the caller can't know whether anything happened."""
    message = "An unknown error occurred"
    return StripeError(status, {"type": "api_error", "message": message})


def no_api_key() -> StripeError:
    """Make the 401 for a request without a key."""
    message = (
        "You did not provide an API key. You need to provide your API key in the Authorization "
        "header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See "
        "https://stripe.com/docs/api#authentication for details, or we can help at "
        "https://support.stripe.com/."
    )
    return _unauthenticated(message)


def invalid_api_key(key: str) -> StripeError:
    """Make the 401 for an unknown key; the key itself is masked as Stripe masks it."""
    hidden = len(key) - _SHOWN_HEAD - _SHOWN_TAIL
    shown = key[:_SHOWN_HEAD] + "*" * hidden + key[-_SHOWN_TAIL:] if hidden > 0 else "****"
    return _unauthenticated(f"Invalid API Key provided: {shown}")


def _unauthenticated(message: str) -> StripeError:
    return StripeError(
        401,
        {"type": "invalid_request_error", "message": message},
        executed=False,
        headers={"WWW-Authenticate": 'Bearer realm="Stripe"'},
    )


def secret_key_required() -> StripeError:
    """Make the refusal of a publishable key where only a secret one will do."""
    message = (
        "This API call cannot be made with a publishable API key. Please use a secret API key. "
        "You can find a list of your API keys at https://dashboard.stripe.com/account/apikeys."
    )
    fields = {"type": "invalid_request_error", "code": "secret_key_required", "message": message}
    return StripeError(403, fields, executed=False)


def unknown_url(method: str, path: str) -> StripeError:
    """Make the 404 for a path that the sandbox doesn't have."""
    return StripeError(
        404,
        {
            "type": "invalid_request_error",
            "message": f"Unrecognized request URL ({method}: {path}). Please see "
            "https://stripe.com/docs or we can help at https://support.stripe.com/.",
        },
        executed=False,
    )

"""Stripe's API over HTTP: keys, faults, idempotency, and one transaction a request."""

import asyncio
import base64
import json
import logging
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from boxoffice_sandbox import forms, params
from boxoffice_sandbox.accounts import Account, Accounts
from boxoffice_sandbox.breaking import broken, truncated
from boxoffice_sandbox.clock import Clock
from boxoffice_sandbox.errors import (
    StripeError,
    invalid_request,
    secret_key_required,
    server_error,
    unknown_url,
)
from boxoffice_sandbox.faults import Fault, FaultKind, Faults
from boxoffice_sandbox.idempotency import Answer, Claim, IdempotencyKeys, claim
from boxoffice_sandbox.scope import API_VERSION, Scope
from boxoffice_sandbox.store import Store
from boxoffice_sandbox.stripe.expand import expand
from boxoffice_sandbox.stripe.intents import public
from boxoffice_sandbox.stripe.routing import Endpoint, Router
from boxoffice_sandbox.webhooks import WebhookSender

Json = dict[str, Any]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A request as it came: whose it is, what it wants, and its raw parameters."""

    account: Account
    publishable: bool
    method: str
    path: str
    raw: bytes
    request_id: str
    idempotency_key: str | None
    base_url: str


class StripeApi:
    """Answers everything below `/stripe`."""

    def __init__(
        self,
        *,
        store: Store,
        accounts: Accounts,
        clock: Clock,
        faults: Faults,
        router: Router,
        sender: WebhookSender,
    ) -> None:
        """Take the parts that all requests share."""
        self._store = store
        self._accounts = accounts
        self._clock = clock
        self._faults = faults
        self._router = router
        self._sender = sender
        self._keys = IdempotencyKeys(store)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        raw = await request.read()
        if request.method != "POST":
            raw = request.rel_url.raw_query_string.encode()
        path = request.path.removeprefix("/stripe")
        try:
            asked = self._asked(request, path=path, raw=raw)
        except StripeError as error:
            return _response(_refused(error, account_id="acct_unknown", request_id="req_unknown"))
        fault = self._faults.strike(account=asked.account.key, method=asked.method, path=asked.path)
        if fault is not None and fault.kind is FaultKind.RESET_BEFORE:
            return broken(request)
        answer = await self._answer(asked, fault)
        if fault is None:
            return _response(answer, asked)
        match fault.kind:
            case FaultKind.RESET_AFTER:
                return broken(request)
            case FaultKind.LATE:
                await asyncio.sleep(fault.seconds)
            case FaultKind.TRUNCATE:
                return await truncated(request, status=answer.status, body=answer.body)
        return _response(answer, asked)

    def _asked(self, request: web.Request, *, path: str, raw: bytes) -> _Asked:
        account, publishable = self._accounts.by_key(_key(request.headers.get("Authorization")))
        key = request.headers.get("Idempotency-Key") if request.method == "POST" else None
        version = request.headers.get("Stripe-Version", API_VERSION)
        if version != API_VERSION:
            message = f"Invalid Stripe API version: {version}. The sandbox has {API_VERSION} only."
            raise invalid_request(message, executed=False)
        return _Asked(
            account=account,
            publishable=publishable,
            method=request.method,
            path=path,
            raw=raw,
            request_id=self._accounts.new_id(account, "req_", 14),
            idempotency_key=key,
            base_url=f"{request.scheme}://{request.host}",
        )

    async def _answer(self, asked: _Asked, fault: Fault | None) -> Answer:
        """Look at the key, work, keep the result; every refusal becomes an answer too."""
        held: Claim | None = None
        try:
            endpoint, ids, values = self._read(asked)
            request = self._claim(asked)
            if request is not None:
                kept = self._keys.begin(request, now=self._clock.now())
                if kept is not None:
                    return _replayed(kept, asked)
                held = request
            # Lets a request that came at the same moment find the key in use.
            await asyncio.sleep(_latency(fault))
            return self._execute(asked, endpoint, ids, values, held=held, fault=fault)
        except StripeError as error:
            return self._refusal(asked, error)
        finally:
            if held is not None:
                self._keys.end(held)

    def _claim(self, asked: _Asked) -> Claim | None:
        if asked.idempotency_key is None:
            return None
        return claim(
            account=asked.account.name,
            key=asked.idempotency_key,
            method=asked.method,
            path=asked.path,
            body=asked.raw,
        )

    def _read(self, asked: _Asked) -> tuple[Endpoint, dict[str, str], Json]:
        found = self._router.match(asked.method, asked.path)
        if found is None:
            raise unknown_url(asked.method, asked.path)
        endpoint, ids = found
        if asked.publishable and not endpoint.publishable:
            raise secret_key_required()
        try:
            text = asked.raw.decode()
        except UnicodeDecodeError:
            message = "Invalid request: the body is not valid UTF-8."
            raise invalid_request(message, executed=False) from None
        return endpoint, ids, params.read(endpoint.shapes(), forms.decode(text))

    def _execute(
        self,
        asked: _Asked,
        endpoint: Endpoint,
        ids: dict[str, str],
        values: Json,
        *,
        held: Claim | None,
        fault: Fault | None,
    ) -> Answer:
        answers_error = fault is not None and fault.kind is FaultKind.STATUS
        if fault is not None and answers_error and not fault.processed:
            answer = self._refusal(asked, fault.error())
            if held is not None and fault.stored:
                with self._store.transaction():
                    self._keys.keep(held, answer, now=self._clock.now())
            return answer
        with self._store.transaction():
            answer, executed = self._run(asked, endpoint, ids, values)
            true_answer = answer
            if fault is not None and answers_error:
                answer = self._refusal(asked, fault.error())
            if held is not None and executed:
                kept = answer if fault is not None and fault.stored else true_answer
                self._keys.keep(held, kept, now=self._clock.now())
        self._sender.wake()
        return answer

    def _run(
        self, asked: _Asked, endpoint: Endpoint, ids: dict[str, str], values: Json
    ) -> tuple[Answer, bool]:
        """Run the endpoint; return its answer and whether its execution had started."""
        scope = Scope(
            store=self._store,
            accounts=self._accounts,
            account=asked.account,
            now=self._clock.now(),
            base_url=asked.base_url,
            request_id=asked.request_id,
            idempotency_key=asked.idempotency_key,
            publishable=asked.publishable,
        )
        paths = values.pop("expand", [])
        kept: StripeError | None = None
        try:
            with self._store.savepoint():
                try:
                    body = expand(scope, endpoint.run(scope, values, **ids), paths)
                except StripeError as error:
                    if not error.keep_changes:
                        raise
                    kept = error
        except StripeError as error:
            return self._refusal(asked, error), error.executed
        except Exception:  # noqa: BLE001  (Stripe answers its own failures with a 500 too)
            _log.exception("%s %s broke", asked.method, asked.path)
            return self._refusal(asked, server_error()), True
        if kept is not None:
            return self._refusal(asked, kept), kept.executed
        return Answer(status=200, body=_dump(body), headers={}, request_id=asked.request_id), True

    def _refusal(self, asked: _Asked, error: StripeError) -> Answer:
        for name in ("payment_intent", "setup_intent"):
            if asked.publishable and name in error.fields:
                error.fields[name] = public(error.fields[name])
        return _refused(error, account_id=asked.account.id, request_id=asked.request_id)


def _key(authorization: str | None) -> str:
    """Return the key of a bearer or basic authorization header; nothing when there is none."""
    scheme, _, value = (authorization or "").partition(" ")
    if scheme.lower() == "basic":
        try:
            login = base64.b64decode(value.strip(), validate=True).decode()
        except ValueError:
            return ""
        return login.partition(":")[0]
    return value.strip() if scheme.lower() == "bearer" else ""


def _latency(fault: Fault | None) -> float:
    return fault.seconds if fault is not None and fault.kind is FaultKind.LATENCY else 0


def _dump(body: Json) -> bytes:
    return json.dumps(body, indent=2, ensure_ascii=False).encode()


def _refused(error: StripeError, *, account_id: str, request_id: str) -> Answer:
    body = error.body(account_id=account_id, request_id=request_id)
    return Answer(
        status=error.status, body=_dump(body), headers=error.headers, request_id=request_id
    )


def _replayed(kept: Answer, asked: _Asked) -> Answer:
    """Return a stored answer as a new response: its own request id, and whose answer it is."""
    headers = {
        **kept.headers,
        "Idempotent-Replayed": "true",
        "Original-Request": kept.request_id,
    }
    return Answer(status=kept.status, body=kept.body, headers=headers, request_id=asked.request_id)


def _response(answer: Answer, asked: _Asked | None = None) -> web.Response:
    headers = {
        "Cache-Control": "no-cache, no-store",
        "Content-Type": "application/json",
        "Request-Id": answer.request_id,
        "Stripe-Version": API_VERSION,
    }
    if asked is not None and asked.idempotency_key is not None:
        headers["Idempotency-Key"] = asked.idempotency_key
        headers["Original-Request"] = answer.request_id
    headers |= answer.headers
    return web.Response(status=answer.status, body=answer.body, headers=headers)

"""The control door, for tests: accounts, clock, faults and webhooks as JSON over HTTP.

POST /control/accounts/{key}         {"legacy", "webhook_url", "webhook_secret"}
POST /control/clock                  {"advance_seconds"}
POST /control/faults                 a Fault; GET lists them, DELETE clears them
POST /control/webhooks               {"account", "mode", "delay_seconds"},
                                     {"first_pause_seconds"} for all accounts
POST /control/webhooks/release       {"account", "order": "fifo" | "reverse" | [event ids]}
POST /control/webhooks/retry
POST /control/events/{id}/redeliver
"""

from dataclasses import asdict, fields, replace
from typing import Any

from aiohttp import web

from boxoffice_sandbox.accounts import Account, WebhookMode
from boxoffice_sandbox.control_calls import Handler, answering_errors, base_url, body
from boxoffice_sandbox.errors import invalid_request
from boxoffice_sandbox.faults import Fault, FaultKind, Faults
from boxoffice_sandbox.passage import Passage
from boxoffice_sandbox.scopes import Scopes

Json = dict[str, Any]

_FAULT_TYPES: dict[str, tuple[type, ...]] = {
    "kind": (str,),
    "account": (str, type(None)),
    "method": (str, type(None)),
    "path": (str,),
    "status": (int,),
    "seconds": (int, float),
    "processed": (bool,),
    "stored": (bool,),
    "times": (int,),
}


class Control:
    """Everything below `/control` but the buttons of single objects."""

    def __init__(self, *, scopes: Scopes, faults: Faults, passage: Passage) -> None:
        """Take the doors' shared parts, the faults, and what moves the clock."""
        self._scopes = scopes
        self._faults = faults
        self._passage = passage

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        table: tuple[tuple[str, str, Handler], ...] = (
            ("GET", "/control/accounts", self.accounts),
            ("POST", "/control/accounts/{key}", self.change_account),
            ("GET", "/control/clock", self.clock),
            ("POST", "/control/clock", self.advance_clock),
            ("GET", "/control/faults", self.faults),
            ("POST", "/control/faults", self.add_fault),
            ("DELETE", "/control/faults", self.clear_faults),
            ("GET", "/control/webhooks", self.deliveries),
            ("POST", "/control/webhooks", self.change_webhooks),
            ("POST", "/control/webhooks/release", self.release),
            ("POST", "/control/webhooks/retry", self.retry),
            ("POST", "/control/events/{event}/redeliver", self.redeliver),
        )
        return [web.route(verb, path, answering_errors(run)) for verb, path, run in table]

    async def accounts(self, _request: web.Request) -> web.Response:
        """List the accounts."""
        shown = [_shown(account) for account in self._scopes.accounts.all()]
        return web.json_response({"accounts": shown})

    async def change_account(self, request: web.Request) -> web.Response:
        """Set an account's switches and webhook address."""
        account = self._account(request.match_info["key"])
        changes = await body(
            request,
            {"legacy": (bool,), "webhook_url": (str,), "webhook_secret": (str,)},
        )
        changed = self._scopes.accounts.change(account.name, **changes)
        return web.json_response(_shown(changed))

    def _account(self, key: str) -> Account:
        return self._scopes.accounts.by_key(key)[0]

    async def clock(self, _request: web.Request) -> web.Response:
        """Tell the virtual time."""
        return web.json_response(self._passage.time())

    async def advance_clock(self, request: web.Request) -> web.Response:
        """Move the clock."""
        given = await body(request, {"advance_seconds": (int,)})
        moved = await self._passage.advance(given.get("advance_seconds", 0), base_url(request))
        return web.json_response(moved)

    async def faults(self, _request: web.Request) -> web.Response:
        """List the armed faults."""
        return web.json_response({"faults": self._faults.all()})

    async def add_fault(self, request: web.Request) -> web.Response:
        """Arm a fault."""
        given = await body(request, _FAULT_TYPES)
        try:
            kind = FaultKind(given.get("kind", ""))
        except ValueError:
            message = f"kind must be one of {', '.join(FaultKind)}."
            raise invalid_request(message) from None
        fault = Fault(**{**given, "kind": kind})
        if fault.times < 1 or fault.seconds < 0 or not 400 <= fault.status <= 599:  # noqa: PLR2004
            message = "times must be 1 or more, seconds 0 or more, status from 400 to 599."
            raise invalid_request(message)
        if fault.account is not None:
            fault = replace(fault, account=self._account(fault.account).key)
        return web.json_response({"id": self._faults.add(fault), **asdict(fault)})

    async def clear_faults(self, _request: web.Request) -> web.Response:
        """Disarm all faults."""
        self._faults.clear()
        return web.json_response({"faults": []})

    async def deliveries(self, request: web.Request) -> web.Response:
        """List the latest deliveries with their state, newest first."""
        account = request.query.get("account")
        name = None if account is None else self._account(account).name
        rows = self._scopes.store.rows(
            "SELECT id, account, event, state, attempts, answer FROM deliveries "
            "WHERE account = coalesce(?, account) ORDER BY id DESC LIMIT 500",
            (name,),
        )
        return web.json_response({"deliveries": [dict(row) for row in rows]})

    async def change_webhooks(self, request: web.Request) -> web.Response:
        """Set what happens to an account's events, and the pause before the first retry."""
        given = await body(
            request,
            {
                "account": (str,),
                "mode": (str,),
                "delay_seconds": (int, float),
                "first_pause_seconds": (int, float),
            },
        )
        if "first_pause_seconds" in given:
            self._scopes.sender.set_first_pause(float(given["first_pause_seconds"]))
        if "account" not in given:
            return web.json_response({})
        changes: dict[str, object] = {}
        if "mode" in given:
            if given["mode"] not in list(WebhookMode):
                message = f"mode must be one of {', '.join(WebhookMode)}."
                raise invalid_request(message)
            changes["webhook_mode"] = WebhookMode(given["mode"])
        if "delay_seconds" in given:
            changes["webhook_delay_seconds"] = given["delay_seconds"]
        account = self._account(given["account"])
        return web.json_response(_shown(self._scopes.accounts.change(account.name, **changes)))

    async def release(self, request: web.Request) -> web.Response:
        """Send an account's held events one by one, in the given order."""
        given = await body(request, {"account": (str,), "order": (str, list)})
        account = self._account(given.get("account", ""))
        rows = self._scopes.store.rows(
            "SELECT id, event FROM deliveries WHERE account = ? AND state = 'held' ORDER BY id",
            (account.name,),
        )
        chosen = _ordered([(row["id"], row["event"]) for row in rows], given.get("order", "fifo"))
        for number, _ in chosen:
            self._scopes.store.run(
                "UPDATE deliveries SET state = 'pending' WHERE id = ?", (number,)
            )
        if chosen:
            self._scopes.sender.send_in_turn([number for number, _ in chosen])
        return web.json_response({"released": [event for _, event in chosen]})

    async def retry(self, _request: web.Request) -> web.Response:
        """Attempt everything pending now."""
        self._scopes.sender.retry()
        return web.json_response({})

    async def redeliver(self, request: web.Request) -> web.Response:
        """Send one event again, whatever became of it before."""
        event = request.match_info["event"]
        with self._scopes.owning("event", event, base_url(request)) as (scope, _):
            if not scope.account.webhook_url:
                message = f"{scope.account.key} has no webhook address."
                raise invalid_request(message)
            number = self._scopes.store.run(
                "INSERT INTO deliveries (account, event, batch, state) VALUES (?, ?, ?, 'pending')",
                (scope.account.name, event, event),
            )
        return web.json_response({"delivery": number, "event": event})


def _ordered(held: list[tuple[int, str]], order: str | list[Any]) -> list[tuple[int, str]]:
    if order == "fifo":
        return held
    if order == "reverse":
        return held[::-1]
    if isinstance(order, str):
        message = "order must be fifo, reverse or a list of event ids."
        raise invalid_request(message)
    by_event = {event: number for number, event in held}
    unknown = [event for event in order if event not in by_event]
    if unknown:
        message = f"Not held: {', '.join(map(str, unknown))}"
        raise invalid_request(message)
    return [(by_event[event], event) for event in order]


def _shown(account: Account) -> Json:
    """Return an account without its webhook secret."""
    shown = {f.name: getattr(account, f.name) for f in fields(account)}
    del shown["webhook_secret"]
    return {"key": account.key, "id": account.id, **shown}

"""The buttons of single objects, over HTTP: what customers and banks do, on demand."""

from typing import Any

from aiohttp import web

from boxoffice_sandbox import actions
from boxoffice_sandbox.control import Handler, answering_errors, base_url
from boxoffice_sandbox.errors import invalid_request
from boxoffice_sandbox.scopes import Scopes
from boxoffice_sandbox.stripe import disputes, refunds, setup_intents, sources

Json = dict[str, Any]


class ObjectControl:
    """`POST /control/<kind>/<id>/<action>`."""

    def __init__(self, *, scopes: Scopes) -> None:
        """Take the doors' shared parts."""
        self._scopes = scopes

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        table: tuple[tuple[str, Handler], ...] = (
            ("payment_intents", self.payment_intent),
            ("setup_intents", self.setup_intent),
            ("sources", self.source),
            ("refunds", self.refund),
            ("disputes", self.dispute),
        )
        return [
            web.post(f"/control/{kind}/{{id}}/{{action}}", answering_errors(run))
            for kind, run in table
        ]

    async def payment_intent(self, request: web.Request) -> web.Response:
        """Press pay, decline, authenticate, refuse or process."""
        action = actions.Action(_choice(request, tuple(actions.Action)))
        with self._scopes.owning("payment_intent", *_which(request)) as (scope, intent):
            pressed = actions.press(scope, intent, action)
        return _answer(pressed)

    async def setup_intent(self, request: web.Request) -> web.Response:
        """Complete a pending authentication."""
        succeeded = _choice(request, ("authenticate", "refuse")) == "authenticate"
        with self._scopes.owning("setup_intent", *_which(request)) as (scope, intent):
            done = setup_intents.complete_action(scope, intent, succeeded=succeeded)
        return _answer(done)

    async def source(self, request: web.Request) -> web.Response:
        """Complete a pending redirect."""
        succeeded = _choice(request, ("authenticate", "refuse")) == "authenticate"
        with self._scopes.owning("source", *_which(request)) as (scope, source):
            done = sources.complete(scope, source, succeeded=succeeded)
        return _answer(done)

    async def refund(self, request: web.Request) -> web.Response:
        """Let the bank end a refund."""
        succeeded = _choice(request, ("succeed", "fail")) == "succeed"
        with self._scopes.owning("refund", *_which(request)) as (scope, refund):
            done = refunds.finish(scope, refund, succeeded=succeeded)
        return _answer(done)

    async def dispute(self, request: web.Request) -> web.Response:
        """Let the bank decide a dispute."""
        won = _choice(request, ("win", "lose")) == "win"
        with self._scopes.owning("dispute", *_which(request)) as (scope, dispute):
            done = disputes.finish(scope, dispute, won=won)
        return _answer(done)


def _which(request: web.Request) -> tuple[str, str]:
    return request.match_info["id"], base_url(request)


def _choice(request: web.Request, choices: tuple[str, ...]) -> str:
    action = request.match_info["action"]
    if action not in choices:
        message = f"Unknown action {action}: there are {', '.join(choices)}."
        raise invalid_request(message, status=404)
    return action


def _answer(done: Json) -> web.Response:
    return web.json_response({"id": done["id"], "status": done["status"], "object": done})

"""The pages for people: the desk at `/`, and the bank's page that redirects lead to."""

from html import escape
from pathlib import Path
from string import Template
from typing import Any

from aiohttp import web

from boxoffice_sandbox.app_store import overview as app_store
from boxoffice_sandbox.app_store.records import Records
from boxoffice_sandbox.control_calls import answering_errors, base_url
from boxoffice_sandbox.errors import StripeError, invalid_request, missing
from boxoffice_sandbox.overview import overview
from boxoffice_sandbox.scope import Scope
from boxoffice_sandbox.scopes import Scopes
from boxoffice_sandbox.stripe import confirmation, setup_intents, sources
from boxoffice_sandbox.stripe.currencies import written_amount
from boxoffice_sandbox.stripe.intents import address_back

Json = dict[str, Any]

_HERE = Path(__file__).parent
_KINDS = ("payment_intent", "setup_intent", "source")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; form-action *; frame-ancestors 'none'",
}


class Pages:
    """Serves the HTML, and the JSON that the desk refreshes itself from."""

    def __init__(self, *, scopes: Scopes, records: Records) -> None:
        """Take the doors' shared parts and the App Store's, and read the pages once."""
        self._scopes = scopes
        self._records = records
        self._desk = (_HERE / "desk.html").read_text(encoding="utf-8")
        self._bank = Template((_HERE / "bank.html").read_text(encoding="utf-8"))

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/", self.desk),
            web.get("/control/overview", answering_errors(self.overview)),
            web.get("/redirect/{id}", self.bank),
            web.post("/redirect/{id}/{outcome:succeed|fail}", self.leave_bank),
        ]

    async def desk(self, _request: web.Request) -> web.Response:
        """Serve the page with the list of payments."""
        return web.Response(text=self._desk, content_type="text/html", headers=_HEADERS)

    async def overview(self, _request: web.Request) -> web.Response:
        """Return what the desk shows, newest first."""
        shown = overview(self._scopes.store, self._scopes.clock.now())
        return web.json_response(shown | app_store.overview(self._records))

    async def bank(self, request: web.Request) -> web.Response:
        """Serve the page on which the customer says yes or no."""
        try:
            kind, _ = self._kind(request.match_info["id"])
            with self._scopes.owning(kind, *_which(request)) as (_, found):
                text = self._bank_page(kind, found)
        except StripeError as error:
            return web.Response(text=str(error), status=error.status)
        return web.Response(text=text, content_type="text/html", headers=_HEADERS)

    def _bank_page(self, kind: str, found: Json) -> str:
        waiting = found["status"] in ("requires_action", "pending")
        amount = (
            written_amount(found["amount"], found["currency"]) + f" {found['currency'].upper()}"
            if found.get("amount")
            else "no amount: only the method is saved"
        )
        return self._bank.substitute(
            id=escape(found["id"]),
            what=escape(kind.replace("_", " ")),
            amount=escape(amount),
            status=escape(found["status"]),
            disabled="" if waiting else "disabled",
        )

    def _kind(self, object_id: str) -> tuple[str, str]:
        row = self._scopes.store.row("SELECT kind FROM objects WHERE id = ?", (object_id,))
        if row is None or row["kind"] not in _KINDS:
            raise missing("payment_intent", object_id, param="id", status=404)
        return str(row["kind"]), object_id

    async def leave_bank(self, request: web.Request) -> web.Response:
        """Do what the customer said and send them back."""
        succeeded = request.match_info["outcome"] == "succeed"
        try:
            kind, _ = self._kind(request.match_info["id"])
            with self._scopes.owning(kind, *_which(request)) as (scope, found):
                address = _leave(scope, kind, found, succeeded=succeeded)
        except StripeError as error:
            return web.Response(text=str(error), status=error.status)
        return web.Response(status=303, headers={"Location": address or "/"})


def _leave(scope: Scope, kind: str, found: Json, *, succeeded: bool) -> str | None:
    """Complete the visit and return the address that the merchant gave, if any."""
    if kind == "source":
        return sources.return_address(sources.complete(scope, found, succeeded=succeeded))
    if found["status"] != "requires_action":
        message = f"{found['id']} is {found['status']}: nothing waits for the customer."
        raise invalid_request(message)
    complete = (
        confirmation.complete_action if kind == "payment_intent" else setup_intents.complete_action
    )
    done = complete(scope, found, succeeded=succeeded)
    return_url = scope.hidden(found["id"]).get("return_url")
    if return_url is None:
        return None
    ended_well = done["status"] in ("succeeded", "requires_capture")
    return address_back(done, return_url, succeeded=ended_well)


def _which(request: web.Request) -> tuple[str, str]:
    return request.match_info["id"], base_url(request)

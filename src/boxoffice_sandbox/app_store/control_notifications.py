"""The control door of the App Store's notifications: what was sent, and what is to happen to it.

GET  /control/app-store/notifications          newest first, with each attempt to send them
POST /control/app-store/notifications          {"type", "subtype", "subscription", "transaction",
                                                "renewal", "data", "status", "instead"}: any
POST /control/app-store/notifications/test
POST /control/app-store/notifications/release  {"order": "fifo" | "reverse" | [UUIDs]}
POST /control/app-store/notifications/retry
POST /control/app-store/notifications/{uuid}/redeliver
GET  /control/app-store/consumption            what the service has said of the use of purchases

`transaction`, `renewal` and `data` are members to add to what is signed, or null to leave out;
`instead` are members in place of data, such as {"summary": {...}}.
"""

import json
from dataclasses import replace
from typing import Any

from aiohttp import web

from boxoffice_sandbox.app_store import actions
from boxoffice_sandbox.app_store.api import request_test
from boxoffice_sandbox.app_store.catalogue import BUNDLE_ID
from boxoffice_sandbox.app_store.control import PATH
from boxoffice_sandbox.app_store.delivery import Deliverer
from boxoffice_sandbox.app_store.life import Notice
from boxoffice_sandbox.app_store.shop import Shop
from boxoffice_sandbox.control_calls import Handler, answering_errors, body
from boxoffice_sandbox.errors import invalid_request
from boxoffice_sandbox.store import Store

Json = dict[str, Any]

_SHOWN = 500
_ANY: dict[str, tuple[type, ...]] = {
    "type": (str,),
    "subtype": (str,),
    "subscription": (str,),
    "transaction": (dict,),
    "renewal": (dict,),
    "data": (dict,),
    "status": (int,),
    "instead": (dict,),
}


class NotificationControl:
    """Notifications, whatever they tell of."""

    def __init__(self, *, shop: Shop, deliverer: Deliverer) -> None:
        """Take what signs them and what sends them."""
        self._shop = shop
        self._deliverer = deliverer

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        table: tuple[tuple[str, str, Handler], ...] = (
            ("GET", "/notifications", self.notifications),
            ("POST", "/notifications", self.tell),
            ("POST", "/notifications/test", self.test),
            ("POST", "/notifications/release", self.release),
            ("POST", "/notifications/retry", self.retry),
            ("POST", "/notifications/{uuid}/redeliver", self.redeliver),
            ("GET", "/consumption", self.consumption),
        )
        return [web.route(verb, PATH + path, answering_errors(run)) for verb, path, run in table]

    async def notifications(self, _request: web.Request) -> web.Response:
        """List the newest notifications with what became of them."""
        found = newest_notifications(self._shop.records.store, _SHOWN)
        return web.json_response({"notifications": found})

    async def tell(self, request: web.Request) -> web.Response:
        """Send a notification of any type, of a subscription or of none."""
        given = await body(request, _ANY)
        kind, subtype = actions.needed(given, "type"), given.get("subtype")
        with self._shop.acting() as moment:
            if "subscription" in given:
                found = self._shop.get(given["subscription"])
                moment.tell(found, kind, subtype, **given.get("data", {}))
            else:
                moment.notices.append(
                    Notice(
                        type=kind,
                        subtype=subtype,
                        at=moment.now,
                        bundle_id=BUNDLE_ID,
                        environment=self._shop.settings.environment,
                        data=given.get("data", {}),
                    )
                )
            moment.notices[-1] = _overridden(moment.notices[-1], given)
        return self._told()

    async def test(self, request: web.Request) -> web.Response:
        """Send Apple's test notification."""
        await body(request, {})
        request_test(self._shop, BUNDLE_ID)
        return self._told()

    def _told(self) -> web.Response:
        told = newest_notifications(self._shop.records.store, 1)[0]
        return web.json_response({"id": told["uuid"], "status": "signed", "object": told})

    async def release(self, request: web.Request) -> web.Response:
        """Send what is held, in the given order."""
        given = await body(request, {"order": (str, list)})
        released = self._deliverer.release(given.get("order", "fifo"))
        answer = {"id": "notifications", "status": f"{len(released)} released"}
        return web.json_response({**answer, "released": released})

    async def retry(self, request: web.Request) -> web.Response:
        """Attempt everything pending now."""
        await body(request, {})
        self._deliverer.retry()
        return web.json_response({"id": "notifications", "status": "tried again"})

    async def redeliver(self, request: web.Request) -> web.Response:
        """Send one again, whatever became of it before."""
        await body(request, {})
        name = request.match_info["uuid"]
        number = self._deliverer.redeliver(name)
        return web.json_response({"id": name, "status": "pending", "delivery": number})

    async def consumption(self, _request: web.Request) -> web.Response:
        """List what the service has said of the use of purchases."""
        return web.json_response({"consumption": self._shop.records.consumption()})


def newest_notifications(store: Store, limit: int) -> list[Json]:
    """Return the latest notifications with their deliveries, newest first."""
    rows = store.rows(
        "SELECT uuid, type, subtype, environment, subscription, signed_at, (SELECT "
        "json_group_array(json_object('state', state, 'sends', json(sends))) FROM "
        "(SELECT * FROM app_store_deliveries WHERE uuid = told.uuid ORDER BY id)) AS deliveries "
        "FROM app_store_notifications AS told ORDER BY position DESC LIMIT ?",
        (limit,),
    )
    return [{**dict(row), "deliveries": json.loads(row["deliveries"])} for row in rows]


def _overridden(notice: Notice, given: Json) -> Notice:
    changes: Json = {name: given[name] for name in ("status", "instead") if name in given}
    for name in ("transaction", "renewal"):
        if name in given:
            signed = (getattr(notice, name) or {}) | given[name]
            changes[name] = {key: value for key, value in signed.items() if value is not None}
    if "instead" in given and "subscription" in given:
        raise invalid_request("instead is in place of a subscription's data.")
    return replace(notice, **changes)

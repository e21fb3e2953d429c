"""The App Store's control door, for tests, the command line and the page.

GET  /control/app-store                        what the service is set up with, and the settings
POST /control/app-store/settings               see AppStoreSettings
GET  /control/app-store/products               POST adds or changes one
GET  /control/app-store/subscriptions          newest first
POST /control/app-store/subscriptions          {"product", "app_account_token", "offer",
                                                "environment"}: somebody buys
GET  /control/app-store/subscriptions/{id}     any transaction's id will do, here and below
GET  /control/app-store/subscriptions/{id}/proof   what an app can show of its purchase
POST /control/app-store/subscriptions/{id}/{action}    see `actions`, and
       renew {"early_seconds"}, fail {"grace_days", "later"} and skip move the clock first

What tells of something takes "as" too: the notification is then of that type, such as
"SUBSCRIBED" or "OFFER_REDEEMED/INITIAL_BUY".
"""

from dataclasses import replace
from typing import Any

from aiohttp import web

from boxoffice_sandbox.app_store import actions, passing, purchases
from boxoffice_sandbox.app_store.auth import ISSUER_ID, KEY_ID
from boxoffice_sandbox.app_store.catalogue import product_data, product_from
from boxoffice_sandbox.app_store.life import Moment
from boxoffice_sandbox.app_store.notifications import APP_APPLE_ID
from boxoffice_sandbox.app_store.receipt import receipt
from boxoffice_sandbox.app_store.settings import CHANGEABLE, shown
from boxoffice_sandbox.app_store.shop import Shop
from boxoffice_sandbox.app_store.subscription import Phase, Subscription
from boxoffice_sandbox.control_calls import Handler, answering_errors, base_url, body
from boxoffice_sandbox.errors import invalid_request
from boxoffice_sandbox.passage import Passage

Json = dict[str, Any]
Known = dict[str, tuple[type, ...]]

PATH = "/control/app-store"
_SHOWN = 200
_AS: Known = {"as": (str,)}
_BUY: Known = {
    "product": (str,),
    "app_account_token": (str,),
    "offer": (str,),
    "environment": (str,),
}
_PRODUCT: Known = {
    **dict.fromkeys(("id", "group", "tier", "period", "bundle_id", "currency"), (str,)),
    **dict.fromkeys(("level", "price"), (int,)),
    "for_sale": (bool,),
    "offers": (list,),
}
_MOVING: dict[str, Known] = {
    "renew": {"early_seconds": (int,)},
    "fail": {"grace_days": (int,), "later": (bool,)},
    "skip": {},
}


class AppStoreControl:
    """Subscriptions and what is done to them; notifications have a door of their own."""

    def __init__(self, *, shop: Shop, passage: Passage) -> None:
        """Take the shop, and what moves the clock."""
        self._shop = shop
        self._passage = passage

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        table: tuple[tuple[str, str, Handler], ...] = (
            ("GET", "", self.about),
            ("POST", "/settings", self.change_settings),
            ("GET", "/products", self.products),
            ("POST", "/products", self.save_product),
            ("GET", "/subscriptions", self.subscriptions),
            ("POST", "/subscriptions", self.buy),
            ("GET", "/subscriptions/{id}", self.subscription),
            ("GET", "/subscriptions/{id}/proof", self.proof),
            ("POST", "/subscriptions/{id}/{action}", self.act),
        )
        return [web.route(verb, PATH + path, answering_errors(run)) for verb, path, run in table]

    async def about(self, _request: web.Request) -> web.Response:
        """Tell what the service is set up with, and how the App Store behaves."""
        names = {"issuer_id": ISSUER_ID, "key_id": KEY_ID, "app_apple_id": APP_APPLE_ID}
        return web.json_response({**names, "settings": shown(self._shop.settings)})

    async def change_settings(self, request: web.Request) -> web.Response:
        """Change how the App Store behaves."""
        changed = self._shop.change_settings(await body(request, CHANGEABLE))
        return web.json_response(shown(changed))

    async def products(self, _request: web.Request) -> web.Response:
        """List what is sold."""
        sold = self._shop.records.products().values()
        return web.json_response({"products": [product_data(product) for product in sold]})

    async def save_product(self, request: web.Request) -> web.Response:
        """Sell something more, or change what is sold; what isn't given stays."""
        given = await body(request, _PRODUCT)
        products = self._shop.records.products()
        before = products.get(given.get("id", ""))
        product = product_from(({} if before is None else product_data(before)) | given)
        with self._shop.records.store.transaction():
            self._shop.records.save_products({**products, product.id: product})
        self._shop.on_change()
        return web.json_response(product_data(product))

    async def subscriptions(self, _request: web.Request) -> web.Response:
        """List the newest subscriptions."""
        found = self._shop.records.newest(_SHOWN)
        return web.json_response({"subscriptions": [summary(it) for it in found]})

    async def subscription(self, request: web.Request) -> web.Response:
        """Show one subscription."""
        return web.json_response(summary(self._shop.get(request.match_info["id"])))

    async def buy(self, request: web.Request) -> web.Response:
        """Let somebody subscribe who never did."""
        given = await body(request, _BUY | _AS)
        with self._shop.acting() as moment:
            found = purchases.buy(
                moment,
                actions.needed(given, "product"),
                environment=given.get("environment", self._shop.settings.environment),
                app_account_token=given.get("app_account_token"),
                offer=given.get("offer"),
            )
            self._shop.records.save(found)
            _retold(moment, given)
        return web.json_response(self._answer(found.id))

    async def proof(self, request: web.Request) -> web.Response:
        """Return what an app on a device can show: JWS, transaction id, and old receipt."""
        name = request.match_info["id"]
        found = self._shop.get(name)
        fields = found.current.fields
        return web.json_response(
            {
                "transaction_id": found.current.id,
                "original_transaction_id": found.id,
                "signed_transaction": self._shop.signed_transaction(found),
                "receipt": receipt(
                    bundle_id=found.bundle_id,
                    product_id=fields["productId"],
                    transaction_id=found.current.id,
                    original_transaction_id=found.id,
                ),
            }
        )

    async def act(self, request: web.Request) -> web.Response:
        """Do one action and answer what the subscription is then."""
        name = request.match_info["action"]
        if name not in actions.ACTIONS and name not in _MOVING:
            names = ", ".join({**actions.ACTIONS, **_MOVING})
            raise invalid_request(f"Unknown action {name}: there are {names}.", status=404)
        takes = actions.ACTIONS[name].takes if name in actions.ACTIONS else {}
        given = await body(request, takes | _MOVING.get(name, {}) | _AS)
        found = self._shop.get(request.match_info["id"])
        match name:
            case "renew":
                return await self._renew(found, given, base_url(request))
            case "fail":
                self._act(found, name, given)
                if not given.get("later", False):
                    await self._move_to(found.renewal_at, base_url(request))
                return web.json_response(self._answer(found.id))
            case "skip":
                due = self._shop.due(found)
                if due is None:
                    raise invalid_request(f"{found.id} is {found.phase}: nothing is to come.")
                await self._move_to(due, base_url(request))
                return web.json_response(self._answer(found.id))
        return web.json_response(self._answer(self._act(found, name, given)))

    async def _renew(self, found: Subscription, given: Json, address: str) -> web.Response:
        """Let the time come at which it renews; until then it may have renewed by itself."""
        is_running = found.phase is Phase.ACTIVE and not found.is_family_shared
        if not is_running or not passing.renews(found, self._shop.records.products()):
            message = f"{found.id} is not going to renew as it is: let it `skip` to its next date."
            raise invalid_request(message)
        early = max(0, given.get("early_seconds", 0)) * 1000
        await self._move_to(found.renewal_at - early, address)
        now = self._shop.get(found.id)
        if now.renewal_at == found.renewal_at:
            self._act(now, "renew", given)
        return web.json_response(self._answer(found.id))

    async def _move_to(self, instant: int, address: str) -> None:
        """Move the clock, unless it is as late already."""
        missing = instant - self._shop.clock_now()
        if missing > 0:
            await self._passage.advance(-(-missing // 1000), address)

    def _act(self, found: Subscription, name: str, given: Json) -> str:
        with self._shop.acting() as moment:
            result = actions.act(self._shop.records, moment, found, name, given)
            _retold(moment, given)
        return result

    def _answer(self, name: str) -> Json:
        found = self._shop.get(name)
        return {"id": found.id, "status": str(found.phase), "object": summary(found)}


def summary(found: Subscription) -> Json:
    """Return what people want to know of a subscription."""
    return {
        "id": found.id,
        "status": str(found.phase),
        "bundle_id": found.bundle_id,
        "environment": found.environment,
        "product": found.product,
        "next_product": found.next_product,
        "app_account_token": found.app_account_token,
        "family_of": found.family_of,
        "auto_renew": found.auto_renew,
        "fails": found.fails,
        "consent": found.consent,
        "offer": found.current.fields.get("offerIdentifier")
        or found.current.fields.get("offerDiscountType"),
        "next_offer": found.offer,
        "price": found.current.fields["price"],
        "currency": found.current.fields["currency"],
        "renewal_at": found.renewal_at,
        "grace_until": found.grace_until,
        "transaction_ids": [transaction.id for transaction in found.transactions],
        "actions": actions.possible(found),
    }


def _retold(moment: Moment, given: Json) -> None:
    """Give what is told last another type, where that was asked for."""
    if "as" not in given or not moment.notices:
        return
    kind, _, subtype = given["as"].partition("/")
    moment.notices[-1] = replace(moment.notices[-1], type=kind, subtype=subtype or None)

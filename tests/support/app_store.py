"""The sandbox's App Store for tests: its own process, and what customers and Apple do there."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxoffice.entitlements.v1 import entitlements_pb2 as pb
from boxoffice.entitlements.v1 import purchases_pb2, subscriptions_pb2
from boxoffice.entitlements.v1 import subscription_products_pb2 as products_pb
from boxoffice.entitlements.v1.entitlements_pb2_grpc import EntitlementsServiceStub
from boxoffice_sandbox.app_store.auth import ISSUER_ID, KEY_ID
from boxoffice_sandbox.app_store.catalogue import BUNDLE_ID
from tests.support.calls import new_request_id
from tests.support.service import Sandbox, running_sandbox, wait_until

Json = dict[str, Any]

# The sandbox's products, and two that tests have it sell besides, as a catalogue has them: the tier
# and its rank.
SOLD = {
    "essential_monthly": ("essential", 1),
    "premium_monthly": ("premium", 2),
    "premium_yearly": ("premium", 2),
    "basic_weekly": ("basic", 0),
    "better_weekly": ("better", 3),
}
GROUP = "premium"
_TO_COME = {"pending"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AppStore:
    """A running sandbox's App Store, with everything that happens to its subscriptions."""

    sandbox: Sandbox
    folder: Path

    def variables(self, **more: str) -> dict[str, str]:
        """The environment of a service whose App Store this is."""
        told = {
            "APPS": BUNDLE_ID,
            "ENVIRONMENT": "Sandbox",
            "ROOT_CERTIFICATES": str(self.folder / "root.cer"),
            "ISSUER_ID": ISSUER_ID,
            "KEY_ID": KEY_ID,
            "PRIVATE_KEY_FILE": str(self.folder / "key.p8"),
            "API_BASE": f"{self.sandbox.url}/app-store",
        }
        return {f"BOXOFFICE_APP_STORE_{name}": text for name, text in (told | more).items()}

    def settings(self, **changes: object) -> Json:
        """Change how it behaves."""
        return self.sandbox.control("app-store/settings", changes)

    def point(self, http_url: str, *, key: str) -> None:
        """Have notifications, and the time, told to a service that knows the key."""
        self.settings(service_url=http_url, service_key=key)

    def mode(self, name: str) -> None:
        """Deliver what is to come: `normal`, `hold`, `lose` or `duplicate`."""
        self.settings(mode=name)

    def offer(self, name: str, **fields: object) -> None:
        """Sell something more, by default of our app, for a week."""
        product = {"id": name, "group": name, "tier": name, "level": 1, "period": "P7D"}
        self.sandbox.control("app-store/products", {**product, "price": 990, **fields})

    def offer_weekly(self) -> None:
        """Sell two products whose periods are short: Apple forgets its sandbox's in a month."""
        trial = {"id": "trial", "kind": 1, "mode": "FREE_TRIAL", "period": "P3D"}
        self.offer("basic_weekly", group="weekly", level=2, offers=[trial])
        self.offer("better_weekly", group="weekly")

    def buy(self, product: str = "premium_monthly", **given: object) -> str:
        """Subscribe for the first time; answers the original transaction's id."""
        bought = self.sandbox.control("app-store/subscriptions", {"product": product, **given})
        return str(bought["id"])

    def act(self, subscription: str, action: str, **given: object) -> Json:
        """Do something to a subscription; answers what it is then."""
        path = f"app-store/subscriptions/{subscription}/{action}"
        done: Json = self.sandbox.control(path, given)["object"]
        return done

    def proof(self, subscription: str) -> Json:
        """What a device has of a purchase."""
        return self.sandbox.control(f"app-store/subscriptions/{subscription}/proof")

    def newest(self) -> str:
        """The subscription that was begun last, such as a family member's."""
        found: str = self.sandbox.control("app-store/subscriptions")["subscriptions"][0]["id"]
        return found

    def notify(self, type_: str, **given: object) -> str:
        """Send a notification of any type; answers its UUID."""
        return str(self.sandbox.control("app-store/notifications", {"type": type_, **given})["id"])

    def notifications(self) -> list[Json]:
        """All notifications with their deliveries, oldest first."""
        told: list[Json] = self.sandbox.control("app-store/notifications")["notifications"]
        return told[::-1]

    def told(self, subscription: str) -> list[str]:
        """The UUIDs of what was signed of a subscription, oldest first."""
        return [
            each["uuid"] for each in self.notifications() if each["subscription"] == subscription
        ]

    def held(self) -> list[str]:
        """The UUIDs of what is held, oldest first."""
        return [
            each["uuid"]
            for each in self.notifications()
            if any(sent["state"] == "held" for sent in each["deliveries"])
        ]

    def redeliver(self, *uuids: str) -> None:
        """Send notifications once more, one after the other."""
        for each in uuids:
            self.sandbox.control(f"app-store/notifications/{each}/redeliver", {})

    def release(self, order: str | Sequence[str] = "fifo") -> list[str]:
        """Send what is held; answers the UUIDs."""
        body = {"order": order if isinstance(order, str) else list(order)}
        released: list[str] = self.sandbox.control("app-store/notifications/release", body)[
            "released"
        ]
        return released

    def advance(self, seconds: int) -> Json:
        """Move the sandbox's clock, and so the service's."""
        return self.sandbox.control("clock", {"advance_seconds": seconds})

    @property
    def offset(self) -> int:
        """How far the sandbox's clock is ahead."""
        seconds: int = self.sandbox.control("clock")["offset_seconds"]
        return seconds

    def wait_sent(self) -> None:
        """Wait until nothing is to be sent any more: it was taken, held, lost or refused."""

        def sent() -> bool:
            states = {each["state"] for it in self.notifications() for each in it["deliveries"]}
            return not states & _TO_COME

        wait_until(sent, "a notification was not sent")

    def results(self, uuid: str) -> list[str]:
        """What became of every attempt to send a notification, in Apple's words."""
        return [
            send["sendAttemptResult"]
            for it in self.notifications()
            if it["uuid"] == uuid
            for each in it["deliveries"]
            for send in each["sends"]
        ]


@contextmanager
def running_app_store(folder: Path) -> Iterator[AppStore]:
    """Run a sandbox whose App Store's clock nobody else goes by."""
    options = (
        *("--app-store-root-file", folder / "root.cer"),
        *("--app-store-key-file", folder / "key.p8"),
    )
    with running_sandbox(folder, *options) as sandbox:
        yield AppStore(sandbox=sandbox, folder=folder)


def catalogue(stub: EntitlementsServiceStub, *names: str) -> dict[str, str]:
    """Say what the sandbox's products mean, by default all; answers our ids of them."""
    return {name: sell(stub, name) for name in names or SOLD}


def sell(stub: EntitlementsServiceStub, name: str) -> str:
    """Say what one product means; answers our id of it."""
    tier, rank = SOLD.get(name, (name, None))
    request = pb.CreateSubscriptionProductRequest(
        request_id=new_request_id(),
        product=products_pb.SubscriptionProduct(
            source=subscriptions_pb2.SUBSCRIPTION_SOURCE_APP_STORE,
            app=BUNDLE_ID,
            vendor_product_id=name,
            name=name,
            subscription_group=GROUP,
            subscription_tier=tier,
            rank=rank,
        ),
    )
    return stub.CreateSubscriptionProduct(request).product.id


def submit(
    stub: EntitlementsServiceStub,
    user_id: str,
    **purchase: Any,  # noqa: ANN401
) -> purchases_pb2.SubmitAppStoreTransactionResponse:
    """Hand in a purchase as a user's."""
    return stub.SubmitAppStoreTransaction(
        purchases_pb2.SubmitAppStoreTransactionRequest(
            request_id=new_request_id(), user_id=user_id, actor="the app", **purchase
        )
    )


def reconcile(
    stub: EntitlementsServiceStub, entitlement_id: str, *, repair: bool
) -> purchases_pb2.ReconcileSubscriptionResponse:
    """Compare a subscription with Apple's view of it."""
    return stub.ReconcileSubscription(
        purchases_pb2.ReconcileSubscriptionRequest(
            request_id=new_request_id(), entitlement_id=entitlement_id, repair=repair
        )
    )

"""EntitlementsService: the whole servicer."""

from boxoffice.entitlements.v1 import entitlements_pb2_grpc
from boxoffice_server.api.drift import DriftMethods
from boxoffice_server.api.entitlement_checks import EntitlementCheckMethods
from boxoffice_server.api.entitlement_reads import EntitlementReadMethods
from boxoffice_server.api.entitlement_streams import EntitlementStreamMethods
from boxoffice_server.api.purchases import PurchaseMethods
from boxoffice_server.api.subscription_products import SubscriptionProductMethods
from boxoffice_server.api.writes import Writes
from boxoffice_server.domain.subscription import Environment
from boxoffice_server.ports import Clock, FrameSource, Store, SubmittedPurchases
from boxoffice_server.subscriptions.engine import Subscriptions
from boxoffice_server.subscriptions.granting import Granting
from boxoffice_server.subscriptions.linking import Linking
from boxoffice_server.subscriptions.reconciling import Reconciling


# grpc.aio takes coroutines that write their stream themselves; the generated types don't say so.
class EntitlementsServicer(  # type: ignore[misc]
    SubscriptionProductMethods,
    EntitlementCheckMethods,
    EntitlementReadMethods,
    EntitlementStreamMethods,
    PurchaseMethods,
    DriftMethods,
    entitlements_pb2_grpc.EntitlementsServiceServicer,
):
    """Entitlements, their events and their catalogue over gRPC.

    `environment` is the service's own: where a request that names none looks.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        writes: Writes,
        feed: FrameSource,
        environment: Environment,
        subscriptions: Subscriptions,
        linking: Linking,
        granting: Granting,
        purchases: SubmittedPurchases,
        reconciling: Reconciling,
    ) -> None:
        SubscriptionProductMethods.__init__(
            self, store=store, clock=clock, writes=writes, listener=subscriptions
        )
        EntitlementCheckMethods.__init__(self, store=store, clock=clock, environment=environment)
        EntitlementReadMethods.__init__(
            self,
            store=store,
            clock=clock,
            environment=environment,
            pictures=subscriptions.pictures,
        )
        PurchaseMethods.__init__(
            self,
            clock=clock,
            writes=writes,
            linking=linking,
            granting=granting,
            purchases=purchases,
            environment=environment,
        )
        DriftMethods.__init__(self, store=store, writes=writes, reconciling=reconciling)
        EntitlementStreamMethods.__init__(
            self, store=store, clock=clock, feed=feed, environment=environment
        )

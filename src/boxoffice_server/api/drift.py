"""EntitlementsService: our view of a subscription beside its vendor's."""

from boxoffice.entitlements.v1 import purchases_pb2 as pb
from boxoffice.entitlements.v1 import subscriptions_pb2
from boxoffice_server.api import convert_entitlements as convert
from boxoffice_server.api.context import Context
from boxoffice_server.api.requests import Faults
from boxoffice_server.api.writes import Writes
from boxoffice_server.domain.errors import BoxofficeError, Reason, invalid_field
from boxoffice_server.domain.lineage import Lineage
from boxoffice_server.domain.subscription import Entitlement
from boxoffice_server.ports import Repository, Store
from boxoffice_server.subscriptions.reconciling import Drift, DriftReport, Reconciling


class DriftMethods:
    """Compares with the vendor."""

    def __init__(self, *, store: Store, writes: Writes, reconciling: Reconciling) -> None:
        self._store = store
        self._writes = writes
        self._reconciling = reconciling

    async def ReconcileSubscription(
        self, request: pb.ReconcileSubscriptionRequest, context: Context
    ) -> pb.ReconcileSubscriptionResponse:
        faults = Faults()
        faults.request_id(request.request_id)
        faults.optional_id(request.lineage_id, "lineage_id")
        faults.optional_id(request.entitlement_id, "entitlement_id")
        faults.refuse()
        key = self._writes.key(request.request_id, "ReconcileSubscription", context)
        answer_type = pb.ReconcileSubscriptionResponse
        known = await self._writes.known(key, request, answer_type)
        if known is not None:
            return known
        lineage = (await self._store.read(lambda repo: _find(repo, request))).key
        told = await self._reconciling.ask(lineage)

        def compare(repo: Repository) -> pb.ReconcileSubscriptionResponse:
            report = self._reconciling.compare(repo, lineage, told, repair=request.repair)
            return _to_response(repo, report)

        return await self._writes.once(key, request, answer_type, compare)


def _find(repo: Repository, request: pb.ReconcileSubscriptionRequest) -> Lineage:
    match request.WhichOneof("subscription"):
        case "lineage_id":
            lineage_id = request.lineage_id
        case "entitlement_id":
            entitlement = repo.entitlements.get(request.entitlement_id)
            if entitlement is None:
                raise convert.entitlement_not_found(request.entitlement_id)
            lineage_id = entitlement.lineage_id
        case None:
            raise invalid_field("subscription", "must be one of lineage_id and entitlement_id")
    lineage = repo.lineages.get(lineage_id)
    if lineage is None:
        raise BoxofficeError(
            Reason.LINEAGE_NOT_FOUND,
            f"there is no subscription {lineage_id}",
            metadata={"lineage_id": lineage_id},
        )
    return lineage


def _to_response(repo: Repository, report: DriftReport) -> pb.ReconcileSubscriptionResponse:
    return pb.ReconcileSubscriptionResponse(
        lineage_id=report.lineage_id,
        drifts=[_to_drift(each) for each in report.drifts],
        missing_events=[convert.to_subscription_event(each) for each in report.missing_events],
        new_facts=report.new_facts,
        repaired=report.repaired,
        resume_token=repo.log.here().encode(),
    )


def _to_drift(drift: Drift) -> pb.SubscriptionDrift:
    return pb.SubscriptionDrift(ours=_or_none(drift.ours), theirs=_or_none(drift.theirs))


def _or_none(entitlement: Entitlement | None) -> subscriptions_pb2.Entitlement | None:
    return None if entitlement is None else convert.to_entitlement(entitlement, entitlement.now)

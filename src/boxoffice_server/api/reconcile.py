"""PaymentsService: our books against Stripe's, as a stream of progress and differences."""

from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1 import reconciliation_pb2
from boxoffice_server.api import convert
from boxoffice_server.api.context import Context
from boxoffice_server.domain.books import Comparison, Difference
from boxoffice_server.domain.errors import invalid_field
from boxoffice_server.domain.money import Money
from boxoffice_server.reconciliation import Reconciliation

MOST_DIFFERENCES = 500


class ReconcileMethods:
    """Reconciliation over gRPC."""

    def __init__(self, *, reconciliation: Reconciliation) -> None:
        self._reconciliation = reconciliation

    async def ReconcilePayments(
        self, request: pb.ReconcilePaymentsRequest, context: Context
    ) -> None:
        if not request.HasField("since"):
            raise invalid_field("since", "is needed: from when on are the books compared?")
        since = convert.from_timestamp(request.since, "since")
        async for told in self._reconciliation.compare(since, repair=request.repair):
            while len(told.differences) > MOST_DIFFERENCES:
                await context.write(_progress(told, MOST_DIFFERENCES))
            response = _progress(told, MOST_DIFFERENCES)
            if told.done:
                response.summary.CopyFrom(_summary(told))
            await context.write(response)


def _progress(told: Comparison, most: int) -> pb.ReconcilePaymentsResponse:
    """Tell how far it is, and take out the differences that are told by it."""
    differences, told.differences = told.differences[:most], told.differences[most:]
    return pb.ReconcilePaymentsResponse(
        differences=[_difference(each) for each in differences],
        compared=told.compared,
        progress=told.progress,
    )


def _difference(difference: Difference) -> reconciliation_pb2.PaymentDifference:
    return reconciliation_pb2.PaymentDifference(
        kind=reconciliation_pb2.DifferenceKind.Value(
            convert.enum_name(difference.kind, "DIFFERENCE_KIND")
        ),
        cause=reconciliation_pb2.DifferenceCause.Value(
            convert.enum_name(difference.cause, "DIFFERENCE_CAUSE")
        ),
        payment_id=difference.payment_id,
        stripe_id=difference.stripe_id,
        ours=difference.ours,
        theirs=difference.theirs,
        repaired=difference.repaired,
    )


def _summary(told: Comparison) -> reconciliation_pb2.ReconciliationSummary:
    summary = reconciliation_pb2.ReconciliationSummary(
        compared=told.compared,
        foreign=told.foreign,
        differences=told.found,
        repaired=told.repaired,
    )
    for currency, sums in sorted(told.sums.items()):
        summary.sums.add(
            our_captured=convert.to_money(Money(amount=sums.our_captured, currency=currency)),
            stripe_captured=convert.to_money(Money(amount=sums.stripe_captured, currency=currency)),
            our_refunded=convert.to_money(Money(amount=sums.our_refunded, currency=currency)),
            stripe_refunded=convert.to_money(Money(amount=sums.stripe_refunded, currency=currency)),
        )
    return summary

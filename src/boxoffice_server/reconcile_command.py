"""`boxoffice reconcile payments`: has the running service compare its books with Stripe's.

A caller of the service like any other, for on SQLite only the service may write. Nothing but this
command imports it, since rich takes its time to import.
"""

import asyncio
import json
import sys
from contextlib import AbstractContextManager
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol, Self

import grpc
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1 import payments_pb2_grpc
from boxoffice.payments.v1 import reconciliation_pb2 as books_pb
from boxoffice_client import error_info, open_channel
from boxoffice_server.settings import Address

EXIT_AGREE = 0
EXIT_DIFFER = 1
# What shells expect of a program that Ctrl-C has ended.
EXIT_INTERRUPTED = 130

# As wide as the longest word of each.
_KIND_WIDTH = len("missing_at_stripe")
_CAUSE_WIDTH = len("notification_not_applied")


class Report(AbstractContextManager["Report"], Protocol):
    """Shows what the service tells, while the block runs."""

    def progress(self, told: pb.ReconcilePaymentsResponse) -> None:
        """Show how far the comparison is, and what was found since last time."""
        ...

    def result(self, summary: books_pb.ReconciliationSummary) -> None:
        """Show what came of it all."""
        ...


class ComparisonError(Exception):
    """The comparison did not come to its end; the message says why, for people."""


def reconcile_payments(address: Address, *, since: datetime, repair: bool, as_json: bool) -> int:
    """Compare, show what comes of it, and answer the exit code."""
    request = pb.ReconcilePaymentsRequest(repair=repair)
    request.since.FromDatetime(since)
    report: Report = JsonReport() if as_json else TextReport(repair=repair)
    try:
        with report:
            summary = asyncio.run(_compare(address, request, report))
    except ComparisonError as error:
        print(f"boxoffice: {error}", file=sys.stderr)
        return EXIT_DIFFER
    except KeyboardInterrupt:
        print("boxoffice: interrupted; it can be started again at any time", file=sys.stderr)
        return EXIT_INTERRUPTED
    report.result(summary)
    return EXIT_AGREE if agrees(summary) else EXIT_DIFFER


def agrees(summary: books_pb.ReconciliationSummary) -> bool:
    """Tell whether the books agree now, everything that differed being repaired."""
    same_sums = all(sums_agree(each) for each in summary.sums)
    return summary.differences == summary.repaired and same_sums


def sums_agree(sums: books_pb.BookSums) -> bool:
    """Tell whether both books have the same sums in a currency."""
    return (sums.our_captured, sums.our_refunded) == (sums.stripe_captured, sums.stripe_refunded)


async def _compare(
    address: Address, request: pb.ReconcilePaymentsRequest, report: Report
) -> books_pb.ReconciliationSummary:
    begun = False
    async with open_channel(str(address)) as channel:
        stub = payments_pb2_grpc.PaymentsServiceStub(channel)
        try:
            async for told in stub.ReconcilePayments(request):
                begun = True
                report.progress(told)
                if told.HasField("summary"):
                    return told.summary
        except grpc.aio.AioRpcError as error:
            raise ComparisonError(_explain(error, address, begun=begun)) from error
    raise ComparisonError(f"the service at {address} ended before the comparison did; {_AGAIN}")


_AGAIN = "start it again: nothing is done twice, and what was repaired stays so"


def _explain(error: grpc.aio.AioRpcError, address: Address, *, begun: bool) -> str:
    info, said = error_info(error), error.details() or error.code().name
    unavailable = error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    if info is not None and info.reason == "VENDOR_UNAVAILABLE":
        return f"Stripe can't be read ({said}); {_AGAIN}"
    if info is not None:
        return f"{said} ({info.reason})" + (f"; {_AGAIN}" if unavailable else "")
    if unavailable and begun:
        return f"the service at {address} went away in the middle of it; {_AGAIN}"
    if unavailable:
        return f"no service answers at {address}, where BOXOFFICE_GRPC_ADDRESS says it is"
    return f"{address} answers {error.code().name}: {said}"


class JsonReport:
    """Prints an object per line: each difference, in the end the summary."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def progress(self, told: pb.ReconcilePaymentsResponse) -> None:
        for each in told.differences:
            _print_json("difference", _fields(each))

    def result(self, summary: books_pb.ReconciliationSummary) -> None:
        _print_json(
            "summary",
            {
                "agree": agrees(summary),
                "compared": summary.compared,
                "foreign": summary.foreign,
                "differences": summary.differences,
                "repaired": summary.repaired,
                "sums": [
                    {
                        "currency_code": each.our_captured.currency_code,
                        "our_captured": each.our_captured.amount,
                        "stripe_captured": each.stripe_captured.amount,
                        "our_refunded": each.our_refunded.amount,
                        "stripe_refunded": each.stripe_refunded.amount,
                        "agree": sums_agree(each),
                    }
                    for each in summary.sums
                ],
            },
        )


def _print_json(name: str, value: dict[str, Any]) -> None:
    print(json.dumps({name: value}, ensure_ascii=False), flush=True)


class TextReport:
    """Prints lines for people, below them a bar while it goes on if there is a terminal."""

    def __init__(self, *, repair: bool) -> None:
        self._repair = repair
        self._console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[compared]} compared, {task.fields[found]} differ"),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._found = 0
        self._task = self._bar.add_task(
            "Comparing with Stripe", total=1.0, compared=0, found=self._found
        )

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def progress(self, told: pb.ReconcilePaymentsResponse) -> None:
        for each in told.differences:
            self._console.print(_line(each, repair=self._repair))
        self._found += len(told.differences)
        self._bar.update(
            self._task, completed=told.progress, compared=told.compared, found=self._found
        )

    def result(self, summary: books_pb.ReconciliationSummary) -> None:
        foreign = f", {summary.foreign} of them not ours" if summary.foreign else ""
        self._console.print(f"{summary.compared} compared{foreign}")
        for each in summary.sums:
            self._console.print(_sums_line(each))
        self._console.print(_verdict(summary))


def _line(difference: books_pb.PaymentDifference, *, repair: bool) -> Text:
    told = _fields(difference)
    line = Text(f"{told['kind']:{_KIND_WIDTH}}  {told['cause']:{_CAUSE_WIDTH}}")
    for each in (difference.payment_id, difference.stripe_id):
        line.append(f"  {each or '-'}", style="cyan")
    line.append(f"  here: {difference.ours}, at Stripe: {difference.theirs}")
    if difference.repaired:
        line.append("  repaired", style="green")
    elif repair:
        line.append("  not repaired", style="bold red")
    return line


def _fields(difference: books_pb.PaymentDifference) -> dict[str, Any]:
    kind, cause = books_pb.DifferenceKind, books_pb.DifferenceCause
    return {
        "kind": _word(kind, difference.kind, "DIFFERENCE_KIND_"),
        "cause": _word(cause, difference.cause, "DIFFERENCE_CAUSE_"),
        "payment_id": difference.payment_id,
        "stripe_id": difference.stripe_id,
        "ours": difference.ours,
        "theirs": difference.theirs,
        "repaired": difference.repaired,
    }


def _word(enum: Any, value: int, prefix: str) -> str:  # noqa: ANN401 -- protobuf's enum wrappers
    """Name a value as the service's own words do; one of a later release by its number."""
    name: str = enum.Name(value) if value in enum.values() else str(value)
    return name.removeprefix(prefix).lower()


def _sums_line(sums: books_pb.BookSums) -> Text:
    line = Text(
        f"{sums.our_captured.currency_code}  "
        f"captured {_both(sums.our_captured.amount, sums.stripe_captured.amount)}, "
        f"refunded {_both(sums.our_refunded.amount, sums.stripe_refunded.amount)}: "
    )
    if sums_agree(sums):
        return line.append("agree", style="green")
    return line.append("differ", style="bold red")


def _both(ours: int, stripes: int) -> str:
    return f"{ours} here and {stripes} at Stripe"


def _verdict(summary: books_pb.ReconciliationSummary) -> Text:
    found, left = summary.differences, summary.differences - summary.repaired
    if agrees(summary):
        repaired = f"; differences repaired: {found}" if found else ""
        return Text(f"The books agree{repaired}.", style="bold green")
    if left:
        return Text(f"The books differ; differences left: {left} of {found}.", style="bold red")
    # Both books go on while they are read.
    return Text("The sums differ though nothing else does: compare again.", style="bold red")

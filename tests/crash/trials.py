"""Every strike that an operation can meet, on each store."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product

from boxoffice_server.fail_points import FailPoint
from tests.crash.lab import Case, Lab
from tests.support.strikes import Deed, Plan

STORES = ("sqlite", "postgresql")
OF_OPERATIONS = (
    FailPoint.RECORDING,
    FailPoint.RECORDED,
    FailPoint.ASKED,
    FailPoint.SETTLING,
    FailPoint.SETTLED,
)
OF_NOTIFICATIONS = (FailPoint.KEEPING, FailPoint.KEPT)

Scenario = Callable[[Case, Plan], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A scenario on a store, and the strike that it is to survive."""

    scenario: Scenario
    store: str
    plan: Plan

    def __str__(self) -> str:
        plan = self.plan
        return f"{self.scenario.__name__}-{plan.name}-{plan.point}-{plan.deed}-{self.store}"

    def run(self, lab: Lab) -> None:
        """Run it in a case of its own."""
        with lab.case(self.store) as case:
            case.start(self.plan)
            self.scenario(case, self.plan)


def trials(
    scenario: Scenario, name: str, points: Iterable[FailPoint], deeds: Iterable[Deed] = tuple(Deed)
) -> list[Trial]:
    """List the strikes at some points of an operation or a notification, on both stores."""
    return [
        Trial(scenario=scenario, store=store, plan=Plan(point=point, name=name, deed=deed))
        for point, deed, store in product(points, deeds, STORES)
    ]

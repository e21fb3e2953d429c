"""EntitlementsService: the methods that tell whether users may use something."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from boxoffice.common.v1 import errors_pb2
from boxoffice.entitlements.v1 import entitlements_pb2 as pb
from boxoffice_server.api import convert_entitlements as convert
from boxoffice_server.api.context import Context
from boxoffice_server.api.convert import to_timestamp
from boxoffice_server.api.freshness import check_fresh, read_freshness
from boxoffice_server.api.requests import Faults
from boxoffice_server.domain.catalogue import MAX_GROUP, MAX_TIER
from boxoffice_server.domain.checks import Tiers, Verdict, check_question, verdict
from boxoffice_server.domain.errors import BoxofficeError
from boxoffice_server.domain.subscription import Entitlement, Environment
from boxoffice_server.domain.text import text_violations
from boxoffice_server.ports import Clock, Repository, Standing, Store

MOST_USERS = 1000
MOST_GROUPS = 10
# So many users are looked up and answered at once; other calls go on in between.
USERS_AT_ONCE = 50


class EntitlementCheckMethods:
    """Answers whether users may use groups."""

    def __init__(self, *, store: Store, clock: Clock, environment: Environment) -> None:
        self._store = store
        self._clock = clock
        self._environment = environment

    async def CheckEntitlement(
        self, request: pb.CheckEntitlementRequest, context: Context
    ) -> pb.CheckEntitlementResponse:
        del context
        faults = Faults()
        faults.user_id(request.user_id, "user_id")
        _check_group(faults, "", request.subscription_group, request.minimum_tier)
        faults.refuse()
        user_id, group = request.user_id, request.subscription_group
        environment = convert.from_environment(
            request.environment, "environment", default=self._environment
        )
        token = read_freshness(request)

        def load(repo: Repository) -> Standing:
            check_fresh(repo, token)
            return repo.entitlements.standing(user_id, group, environment)

        standing = await self._store.read(load)
        check_question(standing.tiers, group, request.minimum_tier)
        found = verdict(
            standing.entitlements, standing.tiers, request.minimum_tier, self._clock.now()
        )
        if found.entitlement is None or found.band is None:
            return pb.CheckEntitlementResponse(allowed=False)
        return pb.CheckEntitlementResponse(
            allowed=found.allowed,
            entitlement=convert.to_entitlement(found.entitlement, found.band),
        )

    async def BatchCheckEntitlements(
        self, request: pb.BatchCheckEntitlementsRequest, context: Context
    ) -> pb.BatchCheckEntitlementsResponse:
        del context
        _check_batch(request)
        environment = convert.from_environment(
            request.environment, "environment", default=self._environment
        )
        token = read_freshness(request)
        users, questions = list(request.user_ids), list(request.groups)
        groups = {each.subscription_group for each in questions}

        def look(repo: Repository) -> dict[str, dict[str, int | None]]:
            check_fresh(repo, token)
            return repo.subscription_products.tiers(groups)

        tiers = await self._store.read(look)
        answers = [
            pb.GroupAnswers(error=_error(tiers.get(each.subscription_group, {}), each))
            for each in questions
        ]
        for begin in range(0, len(users), USERS_AT_ONCE):
            some = users[begin : begin + USERS_AT_ONCE]
            held = await self._store.read(
                lambda repo, some=some: repo.entitlements.of_users(  # type: ignore[misc]
                    set(some), groups, environment
                )
            )
            mine, now = _by_user_and_group(held), self._clock.now()
            for answer, question in zip(answers, questions, strict=True):
                if not answer.error:
                    answer.users.extend(_answers(question, tiers, some, mine, now))
        return pb.BatchCheckEntitlementsResponse(groups=answers)


def _check_group(faults: Faults, place: str, group: str, minimum_tier: str) -> None:
    faults.extend(text_violations(group, f"{place}subscription_group", most=MAX_GROUP))
    faults.extend(text_violations(minimum_tier, f"{place}minimum_tier", least=0, most=MAX_TIER))


def _check_batch(request: pb.BatchCheckEntitlementsRequest) -> None:
    faults = Faults()
    for field, count, most in (
        ("user_ids", len(request.user_ids), MOST_USERS),
        ("groups", len(request.groups), MOST_GROUPS),
    ):
        if not 1 <= count <= most:
            faults.add(field, f"must hold from 1 to {most}")
    faults.refuse()
    for index, user_id in enumerate(request.user_ids):
        faults.user_id(user_id, f"user_ids[{index}]")
    for index, each in enumerate(request.groups):
        _check_group(faults, f"groups[{index}].", each.subscription_group, each.minimum_tier)
    faults.refuse()


def _error(tiers: Tiers, question: pb.GroupQuestion) -> errors_pb2.ErrorReason.ValueType:
    try:
        check_question(tiers, question.subscription_group, question.minimum_tier)
    except BoxofficeError as error:
        return errors_pb2.ErrorReason.Value(f"ERROR_REASON_{error.reason}")
    return errors_pb2.ERROR_REASON_UNSPECIFIED


Held = Mapping[tuple[str, str], Sequence[Entitlement]]
"""What users have of groups, by the two."""


def _by_user_and_group(entitlements: Iterable[Entitlement]) -> Held:
    found: defaultdict[tuple[str, str], list[Entitlement]] = defaultdict(list)
    for each in entitlements:
        found[each.user_id, each.subscription_group].append(each)
    return found


def _answers(
    question: pb.GroupQuestion,
    tiers: Mapping[str, Tiers],
    users: Iterable[str],
    held: Held,
    now: datetime,
) -> Iterator[pb.CheckAnswer]:
    """Answer one question about some users, in their order."""
    group, minimum_tier = question.subscription_group, question.minimum_tier
    for user in users:
        yield _to_answer(verdict(held.get((user, group), ()), tiers[group], minimum_tier, now))


def _to_answer(found: Verdict) -> pb.CheckAnswer:
    if found.entitlement is None or found.band is None:
        return pb.CheckAnswer(allowed=False)
    return pb.CheckAnswer(
        allowed=found.allowed,
        entitlement_id=found.entitlement.id,
        status=convert.to_status(found.band.status),
        access_until=to_timestamp(found.band.access_until),
    )

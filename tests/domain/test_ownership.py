"""Whose a subscription is: each moment of it is one user's, and what happened is told to one."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from boxoffice_server.domain.facts import AccountToken, Link, SubscriptionFact
from boxoffice_server.domain.ownership import Holding, share_out, tenures
from boxoffice_server.domain.subscription import StatusCategory
from tests.support.apple import facts
from tests.support.telling import APPLE, Outcome, outcome
from tests.support.trace import Trace, told, when, written

X, Y = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
OFF = "DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_DISABLED"
BUY = "0101 SUBSCRIBED/INITIAL_BUY w1:A:0101-0201"
RENEWALS = (BUY, "0201 DID_RENEW w2:A:0201-0301", "0301 DID_RENEW w3:A:0301-0401")


def lines(*text: str) -> list[SubscriptionFact]:
    """Facts, as traces write them."""
    return facts(told(Trace(id="", told=text, events=(), at=())))


def link(user_id: str, day: str) -> Link:
    """A link of the lineage, made on a day."""
    return Link(
        id=f"lnk-{day}-{user_id}",
        lineage_id="o1",
        user_id=user_id,
        time=when(day),
        record_time=when(day),
        actor="shop",
    )


def token(value: str, user_id: str, *, until: str = "") -> dict[str, AccountToken]:
    """A registered token."""
    end = when(until) if until else None
    return {
        value: AccountToken(
            token=value, user_id=user_id, create_time=when("20240101"), end_time=end
        )
    }


def held(
    said: Sequence[SubscriptionFact],
    links: Sequence[Link] = (),
    registered: Mapping[str, AccountToken] | None = None,
) -> list[str]:
    """Who held it from when on; from the beginning where no time is told."""
    return [
        each.user_id
        if each.start == datetime.min.replace(tzinfo=UTC)
        else f"{written(each.start)} {each.user_id}"
        for each in tenures(said, links, registered or {})
    ]


def shares(
    said: Sequence[SubscriptionFact],
    links: Sequence[Link] = (),
    registered: Mapping[str, AccountToken] | None = None,
) -> tuple[Outcome, list[Holding]]:
    """What each holder had."""
    now = outcome(said)
    who = tenures(said, links, registered or {})
    return now, share_out(now.story, who, now.key, APPLE)


def events(holdings: Sequence[Holding]) -> list[str]:
    """What happened to whom."""
    return sorted(
        f"{each.user_id} {written(what.event_time)} {each.product} {what.type.value}"
        for each in holdings
        for what in each.occurrences
    )


def bands(holdings: Sequence[Holding]) -> list[str]:
    """How it stood for whom."""
    return sorted(
        f"{each.user_id} {each.product} {written(band.from_time)} {band.status.value}"
        for each in holdings
        for band in each.bands
    )


def test_a_purchase_that_nobody_claims_is_nobody_s() -> None:
    """Neither token nor link: it is never guessed."""
    _, holdings = shares(lines(*RENEWALS))
    assert held(lines(*RENEWALS)) == []
    assert holdings == []


def test_the_first_link_reaches_back_to_the_beginning() -> None:
    """Whoever hands a purchase in has what came before."""
    assert held(lines(*RENEWALS), [link("ann", "0215")]) == ["ann"]


@pytest.mark.parametrize(
    ("registered", "user_id"),
    [({}, X), (token(X, "ann"), "ann"), (token(X, "ann", until="0102"), "ann")],
    ids=["nobody registered it", "registered", "ended after the purchase"],
)
def test_a_token_links_from_the_purchase_that_has_it(
    registered: Mapping[str, AccountToken], user_id: str
) -> None:
    """To its user; one that nobody registered is a user's own id."""
    assert held(lines(f"{BUY} token={X}"), registered=registered) == [user_id]


def test_a_token_that_had_ended_links_nothing() -> None:
    """Its user was detached before."""
    said = lines(f"{BUY} token={X}")
    assert held(said, registered=token(X, "ann", until="20241231")) == []


def test_a_detached_user_keeps_the_past_and_is_not_linked_again() -> None:
    """Renewals carry the token on, and it is of no account."""
    said = lines(*(f"{each} token={X}" for each in RENEWALS))
    who = token(X, "ann", until="0210")
    assert held(said, [link("", "0210")], who) == ["ann"]
    _, holdings = shares(said, [link("", "0210")], who)
    assert events(holdings) == ["ann 0101 A started", "ann 0201 A renewed", "ann 0210 A revoked"]
    assert bands(holdings)[-1] == "ann A 0210 revoked"


def test_a_purchase_moves_to_another_user() -> None:
    """The old one's ends revoked at that moment, the new one's begins; history stays."""
    said = lines(*RENEWALS)
    _, holdings = shares(said, [link("ann", "0101"), link("bob", "0210")])
    assert events(holdings) == [
        "ann 0101 A started",
        "ann 0201 A renewed",
        "ann 0210 A revoked",
        "bob 0210 A renewed",
        "bob 0301 A renewed",
    ]
    assert bands(holdings) == [
        "ann A 0101 active_with_renewal",
        "ann A 0201 active_with_renewal",
        "ann A 0210 revoked",
        "bob A 0210 active_with_renewal",
        "bob A 0301 active_with_renewal",
        "bob A 0401T01 in_billing_retry",
    ]


def test_whoever_takes_over_learns_that_renewal_is_off() -> None:
    """And sees it end."""
    said = lines(BUY, f"0110 {OFF}")
    _, holdings = shares(said, [link("ann", "0101"), link("bob", "0115")])
    assert events(holdings) == [
        "ann 0101 A started",
        "ann 0110 A renewal_disabled",
        "ann 0115 A revoked",
        "bob 0115 A renewal_disabled",
        "bob 0115 A renewed",
        "bob 0201 A expired_voluntarily",
    ]


def test_what_was_over_before_stays_with_whoever_had_it() -> None:
    """A link of a purchase that has run out gives the new user nothing."""
    said = lines(BUY, f"0110 {OFF}")
    _, holdings = shares(said, [link("ann", "0101"), link("bob", "0301")])
    assert {each.user_id for each in holdings} == {"ann"}
    assert bands(holdings)[-1] == "ann A 0201 expired_voluntarily"


def test_there_and_back_again_is_told_to_each_in_turn() -> None:
    """Each time under ids of its own."""
    said = lines(*RENEWALS)
    links = [link("ann", "0101"), link("bob", "0210"), link("ann", "0220")]
    now, holdings = shares(said, links)
    assert events(holdings) == [
        "ann 0101 A started",
        "ann 0201 A renewed",
        "ann 0210 A revoked",
        "ann 0220 A renewed",
        "ann 0301 A renewed",
        "bob 0210 A renewed",
        "bob 0220 A revoked",
    ]
    ids = [
        now.key.event_id(each.product, each.user_id, what.type, what.fact_ref)
        for each in holdings
        for what in each.occurrences
    ]
    assert len(ids) == len(set(ids))


def test_a_token_that_changes_when_bought_again_changes_hands() -> None:
    """Also back to the first one: what counts is that the purchase before had another."""
    said = lines(
        f"{BUY} token={X}",
        f"0110 {OFF}",
        f"0301 SUBSCRIBED/RESUBSCRIBE w2:A:0301-0401 token={Y}",
        f"0310 {OFF}",
        f"0501 SUBSCRIBED/RESUBSCRIBE w3:A:0501-0601 token={X}",
    )
    assert held(said) == [X, f"0301 {Y}", f"0501 {X}"]
    _, holdings = shares(said)
    assert events(holdings) == [
        f"{X} 0101 A started",
        f"{X} 0110 A renewal_disabled",
        f"{X} 0201 A expired_voluntarily",
        f"{X} 0501 A renewed",
        f"{Y} 0301 A renewed",
        f"{Y} 0310 A renewal_disabled",
        f"{Y} 0401 A expired_voluntarily",
    ]


def test_a_link_holds_though_renewals_carry_the_old_token() -> None:
    """A purchase that was moved stays where it is."""
    said = lines(*(f"{each} token={X}" for each in RENEWALS))
    assert held(said, [link("bob", "0210")]) == [X, "0210 bob"]


def test_an_upgrade_with_another_token_ends_the_old_product_for_its_holder() -> None:
    """Who buys the new one has never had the old."""
    said = lines(
        f"{BUY} token={X}",
        f"0110 DID_CHANGE_RENEWAL_PREF/UPGRADE w2:B:0110-0210 token={Y}",
    )
    _, holdings = shares(said)
    assert events(holdings) == [
        f"{X} 0101 A started",
        f"{X} 0110 A switched_product",
        f"{Y} 0110 B renewed",
    ]


def test_a_renewal_with_another_token_is_told_once() -> None:
    """The old holder's is revoked as the new one's begins."""
    said = lines(f"{BUY} token={X}", f"0201 DID_RENEW w2:A:0201-0301 token={Y}")
    _, holdings = shares(said)
    assert events(holdings) == [
        f"{X} 0101 A started",
        f"{X} 0201 A revoked",
        f"{Y} 0201 A renewed",
    ]


def test_two_tokens_of_one_purchase_are_told_apart_by_what_was_signed_last() -> None:
    """The app may set the token of a purchase later."""
    first = lines(f"{BUY} token={X}")
    later = lines(f"0102 METADATA_UPDATE w1:A:0101-0201 token={Y}")
    for order in permutations([*first, *later]):
        assert held(order) == [Y]


@pytest.mark.parametrize("seed", range(40))
def test_nothing_is_lost_or_doubled_between_holders(seed: int) -> None:
    """Every event of a lineage is somebody's, once; at no time two users have access by it."""
    chance = random.Random(seed)
    said = lines(
        *RENEWALS,
        f"0110 {OFF}",
        "0120 REFUND of=w1 revoked=0120",
        "0125 REFUND_REVERSED of=w1",
        "0210 DID_CHANGE_RENEWAL_PREF/DOWNGRADE next=B",
        "0305 DID_CHANGE_RENEWAL_PREF/UPGRADE w4:B:0305-0405",
        "0405T00:10 DID_FAIL_TO_RENEW/GRACE_PERIOD grace=0411",
    )
    days = ["0101", "0110", "0115", "0120", "0201", "0220", "0305", "0405T00:10", "0411", "0501"]
    users = ["ann", "bob", "cid"]
    links = [link(chance.choice(users), each) for each in chance.sample(days, 4)]
    now, holdings = shares(said, links)
    again = shares(chance.sample(said, len(said)), chance.sample(links, len(links)))
    assert again[1] == holdings
    told_once = Counter(what for each in holdings for what in each.occurrences)
    assert all(told_once[each] == 1 for each in now.story.occurrences)
    for hours in range(0, 160 * 24, 7):
        time = when("0101") + timedelta(hours=hours)
        assert len(_with_access(holdings, time)) <= 1


def _with_access(holdings: Sequence[Holding], time: datetime) -> list[str]:
    """Tell who has access at a time, and by which product."""
    found = []
    for each in holdings:
        past = [band for band in each.bands if band.from_time <= time]
        if past and past[-1].status.category.grants_access:
            found.append(f"{each.user_id} {each.product}")
            assert past[-1].status.category is not StatusCategory.LOST
    return found

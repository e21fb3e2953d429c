"""The tables below the drawing: they tell all that it shows, and why."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from urllib.parse import quote

from boxoffice_server.console.history import Happened, History, Owned
from boxoffice_server.console.markup import Markup, element, join, moment
from boxoffice_server.console.moments import is_for_good
from boxoffice_server.console.words import Cause, is_settled, parked_words, shop, spoken
from boxoffice_server.domain.ownership import Tenure
from boxoffice_server.domain.subscription import LineageKey

_FIRST_YEAR = 1


def table(heads: Sequence[str], rows: Iterable[Sequence[str] | Markup], *, label: str) -> Markup:
    """Write a table; a row is its cells, or is written already."""
    head = element("tr", *(element("th", each, scope="col") for each in heads))
    body = (each if isinstance(each, Markup) else row(each) for each in rows)
    inside = element(
        "table",
        element("caption", label, class_="unseen"),
        element("thead", head),
        element("tbody", *body),
    )
    return element("div", inside, class_="scroll")


def row(cells: Sequence[str], *, id_: str | None = None, class_: str | None = None) -> Markup:
    """Write a row of a table."""
    return element("tr", *(element("td", each) for each in cells), id=id_, class_=class_)


def events_table(history: History) -> Markup:
    """List the events, the newest first, each with its why."""
    if not history.events:
        return element("p", "No events.", class_="empty")
    names = {each.entitlement.id: each.name for each in history.held}
    heads = ("Time (UTC)", "Event", "Of", "Why", "Recorded (UTC)")
    rows = [_event(each, names.get(each.event.entitlement_id, "")) for each in history.events]
    return table(heads, rows, label="Events, the newest first")


def _event(happened: Happened, name: str) -> Markup:
    event = happened.event
    what: list[str] = [element("strong", spoken(event.type))]
    if event.superseded:
        what.append(element("span", "superseded", class_="tag"))
    for words, value in (
        ("expires ", event.expire_time and moment(event.expire_time)),
        ("to ", event.new_vendor_product_id),
        ("promotion ", event.promotion_reference),
    ):
        if value:
            what.append(element("div", words, value, class_="quiet"))
    of = [
        element("div", name or event.vendor_product_id or event.source_product_id),
        element(
            "div",
            f"{event.subscription_group} / {event.subscription_tier} · {event.environment.value}",
            class_="quiet",
        ),
    ]
    return row(
        (moment(event.event_time), join(what), join(of), _why(happened), moment(event.create_time)),
        id_=event.id,
        class_="superseded" if event.superseded else None,
    )


def _why(happened: Happened) -> Markup:
    event, fact, notification = happened.event, happened.fact, happened.notification
    parts = [element("div", happened.cause.words)]
    if notification is not None:
        kind = "tag" if is_settled(notification.state) else "tag waits"
        parts.append(
            element(
                "div",
                notification.type,
                " ",
                element("span", spoken(notification.state), class_=kind),
                " ",
                element("code", notification.id),
            )
        )
    elif fact is not None and happened.cause is not Cause.GRANT:
        parts.append(element("div", fact.type))
    ids = [element("code", each) for each in (event.id, event.fact_id) if each]
    return join((*parts, element("div", *_spaced(ids), class_="quiet")))


def _spaced(parts: Iterable[Markup]) -> list[str]:
    return [piece for part in parts for piece in (part, " ")]


def holders_table(history: History) -> Markup:
    """List who held each lineage when, and by what."""
    rows = [
        (
            _lineage(each.lineage.key),
            _user(tenure.user_id, history.user_id),
            _edge(tenure.start, "its beginning"),
            _edge(tenure.end, "further notice"),
            _by(each, tenure, history),
        )
        for each in history.owned
        for tenure in each.held
    ]
    if not rows:
        return element("p", "Nobody held anything.", class_="empty")
    heads = ("Subscription", "Held by", "From (UTC)", "Until (UTC)", "By")
    return table(heads, rows, label="Who held which subscription, and when")


def _lineage(key: LineageKey) -> Markup:
    where = " · ".join(part for part in (shop(key.source), key.environment.value, key.app) if part)
    return join((element("code", key.lineage), element("div", where, class_="quiet")))


def _user(user_id: str, mine: str) -> str:
    if user_id == mine:
        return element("strong", "this user")
    href = f"/console/users/{quote(user_id, safe='')}"
    return element("a", user_id, href=href, class_="id")


def _edge(time: datetime, without: str) -> str:
    return without if time.year == _FIRST_YEAR or is_for_good(time) else moment(time)


def _by(owned: Owned, tenure: Tenure, history: History) -> Markup:
    link = owned.links.get(tenure.ref)
    if link is None:
        # It may be named with the purchase that passed it.
        token = tenure.ref.partition(":")[0]
        return join(("the purchase's token ", element("code", token)))
    grant = history.grants.get(owned.lineage.key.id)
    why = f"granted by {link.actor}" if grant is not None else f"linked by {link.actor}"
    parts: list[str] = [element("div", why), element("code", link.id)]
    if grant is not None and grant.reason:
        parts.append(element("div", f"“{grant.reason}”", class_="quiet"))
    if grant is not None and grant.revoke_time is not None:
        told = (f"taken back by {grant.revoke_actor}, ", moment(grant.revoke_time))
        parts.append(element("div", *told, class_="quiet"))
    return join(parts)


def waiting_table(history: History) -> Markup:
    """List the lineages that make nothing yet, and why."""
    rows = [
        (
            _lineage(each.lineage.key),
            parked_words(each.lineage.parked),
            ", ".join(sorted({fact.vendor_product_id for fact in each.facts})),
            str(len(each.facts)),
            moment(each.facts[-1].record_time) if each.facts else "",
        )
        for each in history.parked
        if each.lineage.parked is not None
    ]
    if not rows:
        return element("p", "Nothing waits.", class_="empty")
    heads = ("Subscription", "Why it waits", "Products", "Facts", "Last told (UTC)")
    return table(heads, rows, label="Subscriptions that make nothing yet")

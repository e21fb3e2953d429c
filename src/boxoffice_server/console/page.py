"""The pages as HTML, made from what was read. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, urlencode

from boxoffice_server.console.drawing import PATTERNS, mark_sample, swatch, timeline
from boxoffice_server.console.history import History
from boxoffice_server.console.markup import Markup, element, moment
from boxoffice_server.console.moments import DAY, Asked, iso, shifted, written
from boxoffice_server.console.recent import Change
from boxoffice_server.console.standing import Standing, standings
from boxoffice_server.console.tables import events_table, holders_table, table, waiting_table
from boxoffice_server.console.timeline import Drawing, draw
from boxoffice_server.console.words import MEANING, SHORT, shop, spoken, style_of
from boxoffice_server.domain.subscription import EntitlementStatus, StatusCategory

_STYLE = Markup((Path(__file__).parent / "console.css").read_text(encoding="utf-8"))
_SPANS = ((30, "30 days"), (90, "90 days"), (365, "a year"))


def address(user_id: str) -> str:
    """Tell where a user's page is."""
    return f"/console/users/{quote(user_id, safe='')}"


def user_page(history: History, asked: Asked, now: datetime) -> str:
    """Write the page of a user. Raises BadQuestionError."""
    drawing = draw(history, asked, now)
    heading = element(
        "header",
        element("p", _home(), " / user", class_="crumbs"),
        element("h1", history.user_id, class_="id"),
        element("p", "Now it is ", moment(now), " UTC, by the business clock.", class_="quiet"),
    )
    if history.is_empty:
        nothing = "Nothing is known of this user: no subscription was ever theirs."
        return _page(history.user_id, heading, element("p", nothing, class_="empty"), _search())
    return _page(
        history.user_id,
        heading,
        _standing_section(history, asked, now),
        _timeline_section(history, drawing, asked, now),
        _section("Events", events_table(history), id_="events"),
        _section("Who held what", holders_table(history), id_="holders"),
        _section("Waiting", waiting_table(history), id_="waiting"),
    )


def index_page(changes: Sequence[Change], now: datetime) -> str:
    """Write the page that finds users."""
    rows = [
        (
            element("a", each.user_id, href=address(each.user_id), class_="id"),
            moment(each.time),
            _status(each.status),
            each.group,
            each.scope,
        )
        for each in changes
    ]
    heads = ("User", "Changed (UTC)", "To", "Group", "Bought at")
    return _page(
        "Subscriptions",
        element(
            "header",
            element("h1", "Subscriptions"),
            element("p", "Now it is ", moment(now), " UTC, by the business clock.", class_="quiet"),
        ),
        _search(),
        _section(
            "Changed last",
            table(heads, rows, label="Users whose subscriptions changed last")
            if rows
            else element("p", "Nothing yet.", class_="empty"),
            id_="recent",
        ),
    )


def bad_page(message: str) -> str:
    """Write the page that says what is wrong with the question."""
    return _page(
        "That can't be shown",
        element("p", _home(), class_="crumbs"),
        element("h1", "That can't be shown"),
        element("p", message, class_="empty"),
    )


def _page(title: str, *inside: Markup) -> str:
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{title} · Boxoffice"),
        element("style", _STYLE),
    )
    page = element("html", head, element("body", PATTERNS, element("main", *inside)), lang="en")
    return f"<!doctype html>\n{page}\n"


def _home() -> Markup:
    return element("a", "Boxoffice console", href="/console")


def _section(title: str, *inside: str, id_: str) -> Markup:
    return element("section", element("h2", title, id=id_), *inside, aria_labelledby=id_)


def _search() -> Markup:
    return element(
        "form",
        element("label", "User id ", element("input", name="id", required=True, maxlength="64")),
        element("button", "Show"),
        action="/console/users",
        role="search",
    )


def _status(status: EntitlementStatus) -> Markup:
    style = style_of(status.category)
    return element("span", swatch(status.category), spoken(status), class_=f"status c-{style}")


# What is current


def _standing_section(history: History, asked: Asked, now: datetime) -> Markup:
    time = asked.as_of or now
    title = "Now" if asked.as_of is None else f"As of {written(time)} UTC"
    cards = [_card(each) for each in standings(history, time)]
    hint = "From everything that is known now."
    if asked.as_of is not None and time > now:
        hint = "If nothing more is heard."
    body = (
        element("div", *cards, class_="cards")
        if cards
        else element("p", "Nothing had begun.", class_="empty")
    )
    said = () if asked.as_of is None else (element("p", hint, class_="quiet"),)
    return _section(title, *said, body, id_="standing")


def _card(standing: Standing) -> Markup:
    band, of = standing.band, standing.held.entitlement
    verdict = "Allowed" if standing.is_allowed else "Not allowed"
    tiers = [
        element(
            "li",
            element("span", "✓ " if allowed else "✗ ", aria_hidden="true"),
            tier,
            element("span", " allowed" if allowed else " not allowed", class_="unseen"),
            class_="yes" if allowed else "no",
        )
        for tier, allowed in standing.tiers.items()
    ]
    facts = [
        ("Status", _status(band.status)),
        ("Category", f"{spoken(band.status.category)}: {MEANING[band.status.category]}"),
        ("Product", f"{standing.held.name} ({shop(of.source)})"),
        ("Since", moment(band.from_time)),
        ("Expires", moment(band.expire_time)),
        ("Access until", moment(band.access_until)),
    ]
    if band.new_vendor_product_id:
        facts.append(("Becomes", band.new_vendor_product_id))
    return element(
        "article",
        element(
            "h3",
            standing.group,
            " ",
            element("span", standing.environment.value, class_=f"env {standing.environment.value}"),
        ),
        element("p", verdict, class_="verdict yes" if standing.is_allowed else "verdict no"),
        element("ul", *tiers, class_="tiers", aria_label="Tiers"),
        element("dl", *(_fact(name, value) for name, value in facts)),
        class_="card",
    )


def _fact(name: str, value: str) -> Markup:
    return element("div", element("dt", name), element("dd", value))


# The drawing


def _timeline_section(history: History, drawing: Drawing, asked: Asked, now: datetime) -> Markup:
    if not drawing.lanes:
        nothing = element("p", "No subscription has made anything yet.", class_="empty")
        return _section("Over time", nothing, id_="timeline")
    return _section(
        "Over time",
        _zoom(history.user_id, asked, now),
        *(element("p", each, class_="note-line") for each in _left_out(history, drawing)),
        element(
            "div",
            timeline(drawing),
            class_="scroll",
            tabindex="0",
            role="region",
            aria_label="Timeline, scrolls sideways",
        ),
        _legend(),
        id_="timeline",
    )


def _left_out(history: History, drawing: Drawing) -> Iterable[str]:
    if history.lanes_left_out:
        yield f"{history.lanes_left_out} older subscriptions are not shown."
    if drawing.bands_left_out:
        yield f"{drawing.bands_left_out} older stretches are not drawn; ask for a shorter time."
    if history.events_left_out:
        yield f"Only the newest {len(history.events)} events are shown."
    if history.lineages_left_out:
        yield f"Of {history.lineages_left_out} more subscriptions it is not shown who held them."


def _zoom(user_id: str, asked: Asked, now: datetime) -> Markup:
    """Write the links and the form that choose the time that is drawn."""
    middle = asked.as_of or now
    links = [element("a", "everything", href=_query(user_id, as_of=asked.as_of))]
    for days, words in _SPANS:
        start, end = shifted(middle, -days * DAY * 0.8), shifted(middle, days * DAY * 0.2)
        href = _query(user_id, start=start, end=end, as_of=asked.as_of)
        links.append(element("a", words, href=href))
    fields = [
        element(
            "label",
            label,
            element("input", name=name, value=_value(time), size="17", placeholder=hint),
        )
        for label, name, time, hint in (
            ("from ", "from", asked.from_time, "2026-11-21"),
            ("until ", "until", asked.until_time, "2026-11-21T12:00"),
            ("as of ", "as_of", asked.as_of, "now"),
        )
    ]
    form = element("form", *fields, element("button", "Draw"), action=address(user_id))
    return element("nav", element("p", *_spaced(links)), form, class_="zoom", aria_label="Time")


def _spaced(links: Iterable[Markup]) -> list[str]:
    return [piece for link in links for piece in (link, " ")]


def _value(time: datetime | None) -> str:
    if time is None:
        return ""
    return iso(time).removesuffix("T00:00:00Z").replace(":00Z", "Z")


def _query(
    user_id: str,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    as_of: datetime | None = None,
) -> str:
    times = {"from": start, "until": end, "as_of": as_of}
    told = {
        name: iso(time.replace(second=0, microsecond=0) if name != "as_of" else time)
        for name, time in times.items()
        if time is not None
    }
    return address(user_id) + (f"?{urlencode(told)}" if told else "")


def _legend() -> Markup:
    bands = [
        (swatch(each), f"{spoken(each)}: {MEANING[each]}", _names(each)) for each in StatusCategory
    ]
    marks = [
        (mark_sample(), "an event", ""),
        (mark_sample(superseded=True), "an event that later facts contradict", ""),
        (mark_sample(note=True), "the notification behind it", ""),
        (mark_sample(note=True, waiting=True), "a notification that waits", ""),
    ]
    return element(
        "ul",
        *(
            element("li", sample, element("span", words), title=names or None)
            for sample, words, names in (*bands, *marks)
        ),
        class_="legend",
        aria_label="Legend",
    )


def _names(category: StatusCategory) -> str:
    """List the statuses of a category, with the short names that narrow bands have."""
    return ", ".join(
        f"{spoken(each)} ({SHORT[each]})" for each in EntitlementStatus if each.category is category
    )

"""The pages: all that is known is told, and nothing that was told becomes markup."""

import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

from boxoffice_server.console.history import History, Owned
from boxoffice_server.console.moments import Asked
from boxoffice_server.console.page import address, bad_page, index_page, user_page
from boxoffice_server.console.recent import Change
from boxoffice_server.console.words import Cause
from boxoffice_server.domain.lineage import Lineage
from boxoffice_server.domain.ownership import Tenure
from boxoffice_server.domain.subscription import (
    EntitlementStatus,
    StatusCategory,
    SubscriptionEventType,
)
from tests.console.histories import NOW, happened, held, history
from tests.support.subscriptions import (
    a_band,
    a_key,
    a_link,
    a_subscription_fact,
    an_entitlement,
    on,
    three_bands,
)

HOSTILE = "\"'><script>alert(1)</script>&amp;<b>"
BEGINNING = datetime.min.replace(tzinfo=UTC)
END = datetime.max.replace(tzinfo=UTC)
VOID = {"meta", "input", "br"}


class _Reader(HTMLParser):
    """Collects the tags of a page, and notices one that is not closed where it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.ids: list[str] = []
        self.targets: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        told = dict(attrs)
        self.ids += [each for name, each in attrs if name == "id" and each]
        if (href := told.get("href") or "").startswith("#"):
            self.targets.add(href[1:])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(text: str) -> _Reader:
    """A page, parsed: each element is closed, each id is one of its own, each link leads on."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    assert len(reader.ids) == len(set(reader.ids))
    assert reader.targets <= set(reader.ids)
    assert not reader.seen & {"script", "b", "img"}
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ET.fromstring(svg)  # noqa: S314 -- the page's own
    return reader


def test_hostile_words_stay_words() -> None:
    """Ids, names of products, groups and tiers, in the tables and in the drawing."""
    hostile = replace(
        an_entitlement(now=three_bands()[0]),
        subscription_group=HOSTILE,
        subscription_tier=HOSTILE,
        vendor_product_id=HOSTILE,
    )
    event = replace(
        happened().event,
        promotion_reference=HOSTILE,
        new_vendor_product_id=HOSTILE,
        subscription_group=HOSTILE,
    )
    known = History(
        user_id=HOSTILE,
        held=(replace(held(*three_bands(), name=HOSTILE), entitlement=hostile),),
        events=(replace(happened(), event=event),),
        tiers={HOSTILE: {HOSTILE: 1}},
    )
    text = user_page(known, Asked(), NOW)
    read(text)
    assert unescape(text).count(HOSTILE) > 8
    change = Change(
        user_id=HOSTILE, time=NOW, status=EntitlementStatus.REVOKED, group=HOSTILE, scope=HOSTILE
    )
    read(index_page([change], NOW))
    read(bad_page(HOSTILE))
    assert "/" not in address("a/../b?c#d").removeprefix("/console/users/")


def test_an_unknown_user_has_an_empty_page() -> None:
    """Which says so, and helps to find another one."""
    text = user_page(History(user_id="nobody"), Asked(), NOW)
    assert "Nothing is known of this user" in text
    assert "svg" in read(text).seen
    assert 'role="search"' in text


def test_every_status_is_shown_with_its_category() -> None:
    """By its class, its pattern and its label."""
    for status in EntitlementStatus:
        text = user_page(history(held(a_band(status, 0, None))), Asked(), NOW)
        read(text)
        words, style = status.value.replace("_", " "), status.category.value.replace("_", "-")
        assert f'class="band c-{style} past"' in text
        assert text.count(words) >= 3
        if status.category not in (StatusCategory.LOST, StatusCategory.ENGAGED):
            assert text.count(f'fill="url(#p-{style})"') >= 2


def test_what_is_current_is_told_as_of_the_time_that_was_asked_for() -> None:
    """In words, and with a line of its own."""
    known = history(held(*three_bands()))
    now = user_page(known, Asked(), NOW)
    assert ">Allowed<" in now
    assert ">Now<" in now
    later = user_page(known, Asked(as_of=on(70)), NOW)
    assert ">Not allowed<" in later
    assert "If nothing more is heard." in later
    assert 'class="as-of"' in later
    earlier = user_page(known, Asked(as_of=on(-3)), NOW)
    assert "Nothing had begun." in earlier


def test_an_event_is_told_with_its_why() -> None:
    """Its ids, what brought it about, and whether it still counts."""
    clock = happened(1, day=30, type_=SubscriptionEventType.EXPIRED_VOLUNTARILY)
    gone = replace(clock, event=replace(clock.event, superseded=True))
    text = user_page(history(held(*three_bands()), events=(gone,)), Asked(), NOW)
    read(text)
    assert "by the clock; superseded" in text
    assert f'<tr id="{gone.event.id}" class="superseded">' in text
    assert 'class="dot hollow"' in text
    assert f"<code>{gone.event.id}</code> <code>{gone.event.fact_id}</code>" in text
    for cause in Cause:
        one = user_page(
            history(held(*three_bands()), events=(happened(cause=cause),)), Asked(), NOW
        )
        assert cause.words in one


def test_who_held_what_is_told_by_link_or_by_token() -> None:
    """From the beginning, until further notice, and by whom it was linked."""
    link, token = a_link(), "0c9f5a0e-6d0a-4f0e-8a54-0e1e6f0d7c11"
    first = Tenure(user_id="other <1>", start=BEGINNING, end=on(5), ref=f"{token}:2026")
    second = Tenure(user_id="user-1", start=on(5), end=END, ref=link.id)
    lineage, facts = Lineage(key=a_key()), (a_subscription_fact(),)
    owned = Owned(lineage=lineage, held=(first, second), links={link.id: link}, facts=facts)
    text = user_page(replace(history(held(*three_bands())), owned=(owned,)), Asked(), NOW)
    read(text)
    for words in ("its beginning", f"<code>{token}</code>", "further notice", "linked by shop"):
        assert words in text
    assert 'href="/console/users/other%20%3C1%3E"' in text


def test_what_is_left_out_is_counted() -> None:
    """Nobody takes a part for the whole."""
    known = replace(
        history(held(*three_bands()), events=(happened(),)),
        lanes_left_out=3,
        lineages_left_out=4,
        events_left_out=True,
    )
    text = user_page(known, Asked(), NOW)
    for words in ("3 older subscriptions", "the newest 1 events", "Of 4 more subscriptions"):
        assert words in text


def test_a_long_life_is_written_quickly() -> None:
    """The loop is not held up: 300 bands and as many events take a fraction of a second."""
    statuses = list(EntitlementStatus)
    bands = [a_band(statuses[day % len(statuses)], day, day + 1) for day in range(300)]
    events = tuple(happened(number, day=300 - number) for number in range(300))
    known = history(held(*bands), events=events)
    begun = time.process_time()
    text = user_page(known, Asked(), on(290))
    assert time.process_time() - begun < 0.5
    assert text.count('class="event"') == 300

"""The timeline as SVG. Its looks are in the style sheet, by class."""

from boxoffice_server.console.history import Happened
from boxoffice_server.console.markup import Markup, element, join
from boxoffice_server.console.moments import written
from boxoffice_server.console.timeline import (
    LEFT,
    RIGHT,
    WIDTH,
    Block,
    Drawing,
    Label,
    Lane,
    Mark,
)
from boxoffice_server.console.words import is_settled, shop, spoken, style_of
from boxoffice_server.domain.subscription import Band, StatusCategory

_AXIS = 46.0
_TITLE, _ROW, _BAND, _DOT = 34.0, 15.0, 30.0, 16.0
_NOTE, _GAP = 16.0, 16.0
# How much of a band's height each category takes: what grants no access takes less.
_SLIM = {StatusCategory.INACTIVE_AND_LOSING: 0.8, StatusCategory.LOST: 0.6}
_CORNER = 3.0
_ROOM_FOR_WORDS = 130.0


def timeline(drawing: Drawing) -> Markup:
    """Draw all lanes with their axis."""
    height = _AXIS + sum(_height(each) for each in drawing.lanes) + 8
    lanes, top = [], _AXIS
    for lane in drawing.lanes:
        lanes.append(_lane(lane, top))
        top += _height(lane)
    span = drawing.scale.span
    told = f"{len(drawing.lanes)} subscriptions from {written(span.start)} to {written(span.end)}."
    return element(
        "svg",
        element("title", "Subscriptions over time", id="drawing-title"),
        element("desc", f"{told} The tables on this page tell the same.", id="drawing-told"),
        _ground(drawing, height),
        _lines(drawing, height),
        *lanes,
        viewBox=f"0 0 {WIDTH:.0f} {height:.0f}",
        role="group",
        aria_labelledby="drawing-title drawing-told",
        class_="timeline",
    )


def swatch(category: StatusCategory) -> Markup:
    """Draw a sample of a category, for the legend."""
    return element(
        "svg",
        _shape(category, 1, 1, 34, 18),
        viewBox="0 0 36 20",
        width="36",
        height="20",
        aria_hidden="true",
        class_=f"swatch c-{style_of(category)}",
    )


def mark_sample(*, superseded: bool = False, note: bool = False, waiting: bool = False) -> Markup:
    """Draw a sample of a marker, for the legend."""
    shape = _triangle(8, 4, waiting=waiting) if note else _dot(8, 8, superseded=superseded)
    return element("svg", shape, viewBox="0 0 16 16", width="16", height="16", aria_hidden="true")


def _pattern(category: StatusCategory, size: str, path: str) -> Markup:
    return element(
        "pattern",
        element("path", d=path),
        id=f"p-{style_of(category)}",
        width=size,
        height=size,
        patternUnits="userSpaceOnUse",
        class_=f"p-{style_of(category)}",
    )


# What tells the categories apart for those who can't tell the colours: once on every page.
PATTERNS = element(
    "svg",
    _pattern(StatusCategory.ACQUIRING, "8", "M2 2h1.6v1.6h-1.6zM6 6h1.6v1.6h-1.6z"),
    _pattern(StatusCategory.ACTIVE_BUT_LOSING, "9", "M-2 2L2 -2M0 9L9 0M7 11L11 7"),
    _pattern(StatusCategory.INACTIVE_AND_LOSING, "7", "M0 0L7 7M0 7L7 0"),
    width="0",
    height="0",
    aria_hidden="true",
    class_="unseen",
)


def _height(lane: Lane) -> float:
    above, below = lane.rows_above * _ROW, lane.rows_below * _ROW
    notes = _NOTE if lane.notes else 0
    return _TITLE + above + _DOT + _BAND + notes + below + _GAP


def _ground(drawing: Drawing, height: float) -> Markup:
    """Draw what lies behind everything: the future, the grid and the axis."""
    parts = []
    if drawing.now < drawing.scale.span.end:
        left = drawing.scale.x(drawing.now)
        parts.append(
            element(
                "rect",
                x=left,
                y=_AXIS - 18,
                width=RIGHT - left,
                height=height - _AXIS + 18,
                class_="future-ground",
            )
        )
        if RIGHT - left > _ROOM_FOR_WORDS + 40:
            words = "if nothing more is heard →"
            parts.append(_text(words, RIGHT - 4, _AXIS - 6, "future-words", anchor="end"))
    for x, tick in drawing.ticks:
        kind = "tick major" if tick.major else "tick"
        parts.append(element("line", x1=x, x2=x, y1=20.0, y2=height, class_=kind))
        anchor = "start" if x < LEFT + 20 else "end" if x > RIGHT - 20 else "middle"
        parts.append(_text(tick.label, x, 14, kind, anchor=anchor))
    return element("g", *parts, aria_hidden="true")


def _lines(drawing: Drawing, height: float) -> Markup:
    """Draw this moment, and the one that was asked for."""
    parts = []
    for x, kind, words in (
        (drawing.as_of_x, "as-of", "as of"),
        (drawing.now_x, "now", "now"),
    ):
        if x is None:
            continue
        width = 7.0 * len(words) + 14
        middle = min(max(x, LEFT + width / 2), RIGHT - width / 2)
        parts += [
            element("line", x1=x, x2=x, y1=24.0, y2=height, class_=kind),
            element(
                "rect", x=middle - width / 2, y=22.0, width=width, height=17.0, rx=8.5, class_=kind
            ),
            _text(words, middle, 34.5, kind, anchor="middle"),
        ]
    return join(parts)


def _lane(lane: Lane, top: float) -> Markup:
    of = lane.held.entitlement
    band = top + _TITLE + lane.rows_above * _ROW + _DOT
    below = band + _BAND + (_NOTE if lane.notes else 0)
    where = f"{of.subscription_group} / {of.subscription_tier} · {shop(of.source)}"
    if of.vendor_product_id:
        where += f" · {of.vendor_product_id}"
    title = element(
        "text",
        element("tspan", lane.held.name, class_="lane-name"),
        element("tspan", where, dx="10", class_="lane-where"),
        element("tspan", of.environment.value, dx="10", class_=f"lane-env {of.environment.value}"),
        x=LEFT,
        y=top + 20,
    )
    rule = element("line", x1=LEFT, x2=RIGHT, y1=top + 2, y2=top + 2, class_="lane-rule")
    return element(
        "g",
        rule,
        title,
        *(_block(each, band, below) for each in lane.blocks),
        *(_event(each, band) for each in lane.marks),
        *(_note(each, band + _BAND) for each in lane.notes),
        *([] if lane.blocks else [_text("nothing at this time", LEFT, band + 12, "nothing")]),
        role="group",
        aria_label=f"{lane.held.name}, {where}, {of.environment.value}",
    )


def _block(block: Block, top: float, below: float) -> Markup:
    band, style = block.band, style_of(block.band.status.category)
    parts = [
        element("title", _told(band)),
        _shape(band.status.category, block.x, top, block.width, _BAND),
    ]
    if block.label:
        parts.append(_text(block.label, block.x + 7, top + _BAND / 2 + 4, "band-label"))
    if block.outside is not None:
        y = below + 10 + block.outside.row * _ROW
        parts.append(_label(block.outside, y, "band-label small"))
    time = "future" if block.is_future else "past"
    return element("g", *parts, class_=f"band c-{style} {time}", role="img")


def _shape(category: StatusCategory, x: float, top: float, width: float, height: float) -> Markup:
    """Draw the area of a band: its colour, and its pattern upon it."""
    tall = height * _SLIM.get(category, 1.0)
    y = top + (height - tall) / 2
    corner = min(_CORNER, width / 2)
    area = {"x": x, "y": y, "width": width, "height": tall, "rx": corner}
    parts = [element("rect", class_="area", **area)]
    if category is StatusCategory.LOST:
        rail = top + (height + tall) / 2
        parts = [element("line", x1=x, x2=x + width, y1=rail, y2=rail, class_="rail")]
    elif category is not StatusCategory.ENGAGED:
        pattern = f"url(#p-{style_of(category)})"
        parts.append(element("rect", class_="pattern", fill=pattern, **area))
    return join(parts)


def _told(band: Band) -> str:
    """Say what a band says."""
    told = f"{spoken(band.status)} ({spoken(band.status.category)}), from {written(band.from_time)}"
    if band.until_time is not None:
        told += f" until {written(band.until_time)}"
    told += f"; expires {written(band.expire_time)}, access until {written(band.access_until)}"
    return f"{told}; nothing was told" if band.event_type is None else told


def _event(mark: Mark, band: float) -> Markup:
    event, y = mark.happened.event, band - 8
    parts = [element("title", said(mark.happened)), _dot(mark.x, y, superseded=event.superseded)]
    if mark.label is not None:
        base = band - _DOT - 5 - mark.label.row * _ROW
        side = -4.0 if mark.label.anchor == "end" else 4.0
        label = Label(text=mark.label.text, x=mark.label.x + side, row=0, anchor=mark.label.anchor)
        stem = element("line", x1=mark.x, x2=mark.x, y1=base - 8, y2=y - 4, class_="stem")
        parts = [stem, *parts, _label(label, base, "event-label")]
    kind = "event superseded" if event.superseded else "event"
    return element("a", *parts, href=f"#{event.id}", class_=kind)


def said(happened: Happened) -> str:
    """Say what happened, when and why, in one line."""
    event = happened.event
    told = f"{spoken(event.type)}, {written(event.event_time)}, {happened.cause.words}"
    return f"{told}; superseded" if event.superseded else told


def _note(mark: Mark, top: float) -> Markup:
    notification = mark.happened.notification
    if notification is None:
        return join(())
    told = (
        f"notification {notification.type}, {spoken(notification.state)}, "
        f"received {written(notification.receive_time)}"
    )
    return element(
        "a",
        element("title", told),
        _triangle(mark.x, top + 3, waiting=not is_settled(notification.state)),
        href=f"#{mark.happened.event.id}",
        class_="note",
    )


def _dot(x: float, y: float, *, superseded: bool) -> Markup:
    if superseded:
        # A ring, since what is true may stand at the same place.
        return element("circle", cx=x, cy=y, r=6.5, class_="dot hollow")
    return element("circle", cx=x, cy=y, r=4.5, class_="dot")


def _triangle(x: float, top: float, *, waiting: bool) -> Markup:
    path = f"M{x:.1f} {top:.1f}l5 9h-10z"
    return element("path", d=path, class_="triangle hollow" if waiting else "triangle")


def _label(label: Label, y: float, kind: str) -> Markup:
    return _text(label.text, label.x, y, kind, anchor=label.anchor)


def _text(text: str, x: float, y: float, kind: str, *, anchor: str = "start") -> Markup:
    anchors = None if anchor == "start" else anchor
    return element("text", text, x=x, y=float(y), class_=kind, text_anchor=anchors)

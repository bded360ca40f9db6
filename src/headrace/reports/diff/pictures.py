"""A column's values before and after, as inline SVG; each says in words what it shows."""

from headrace.datasets.diff.model import Column, Distribution
from headrace.reports import charts
from headrace.web import wording
from headrace.web.html import Html, element, join

_WIDE, _TALL = 240, 56


def distribution(column: Column) -> Html | None:
    """Bars before in grey, after as an outline; of text two bars a value."""
    found = column.distribution
    if found is None or not found.before:
        return None
    if found.names:
        return join([_level(found, at) for at in range(len(found.names))])
    ends = [element("span", wording.value(end)) for end in (found.low, found.high)]
    return join([_histogram(found, column.name), element("div", ends, class_="ends")])


def _histogram(found: Distribution, name: str) -> Html:
    top = max((*found.before, *found.after), default=0.0) or 1.0
    step = _WIDE / len(found.before)
    grey = [
        element("rect", class_="o", x=f"{at * step + 0.5:.1f}", width=f"{step - 1:.1f}",
                y=f"{_TALL * (1 - share / top):.1f}", height=f"{_TALL * share / top:.1f}")
        for at, share in enumerate(found.before) if share
    ]  # fmt: skip
    edge = f"M0 {_TALL}" + "".join(
        f"V{_TALL * (1 - share / top):.1f}H{(at + 1) * step:.1f}"
        for at, share in enumerate(found.after)
    )
    return charts.svg(
        _WIDE, _TALL + 2, f"Histogram of {name}: before in grey, after outlined",
        *grey,
        element("path", class_="tf", d=f"{edge}V{_TALL}z"),
        element("path", class_="t", d=f"{edge}V{_TALL}", stroke_width="1.5"),
        element("line", class_="ax", x1=0, x2=_WIDE, y1=_TALL + 1, y2=_TALL + 1),
    )  # fmt: skip


def _level(found: Distribution, at: int) -> Html:
    before, after = found.before[at], found.after[at]
    name = wording.shortened(found.names[at] or "''", 24)
    said = f"{wording.percent(after)}, was {wording.percent(before)}"
    return element("div", element("bdi", name), charts.level(after, before, name),
                   element("span", said, class_="num"), class_="level")  # fmt: skip

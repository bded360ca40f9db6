"""Plots of a column before and after as inline SVG, each with a text alternative."""

from headrace.datasets.diff.model import ColumnDiff, Distribution
from headrace.reports import charts
from headrace.web import wording
from headrace.web.html import Html, element, join

_WIDE, _TALL = 240, 56


def distribution(column: ColumnDiff) -> Html | None:
    """Plot "before" as grey bars and "after" as an outline; for text, two bars per value."""
    shares = column.distribution
    if shares is None or not shares.before:
        return None
    if shares.names:
        return join([_level(shares, at) for at in range(len(shares.names))])
    ends = [element("span", wording.value(end)) for end in (shares.low, shares.high)]
    return join([_histogram(shares, column.name), element("div", ends, class_="ends")])


def _histogram(shares: Distribution, name: str) -> Html:
    top = max((*shares.before, *shares.after), default=0.0) or 1.0
    step = _WIDE / len(shares.before)
    grey = [
        element("rect", class_="o", x=f"{at * step + 0.5:.1f}", width=f"{step - 1:.1f}",
                y=f"{_TALL * (1 - share / top):.1f}", height=f"{_TALL * share / top:.1f}")
        for at, share in enumerate(shares.before) if share
    ]  # fmt: skip
    edge = f"M0 {_TALL}" + "".join(
        f"V{_TALL * (1 - share / top):.1f}H{(at + 1) * step:.1f}"
        for at, share in enumerate(shares.after)
    )
    return charts.svg(
        _WIDE, _TALL + 2, f"Histogram of {name}: before in grey, after outlined",
        *grey,
        element("path", class_="tf", d=f"{edge}V{_TALL}z"),
        element("path", class_="t", d=f"{edge}V{_TALL}", stroke_width="1.5"),
        element("line", class_="ax", x1=0, x2=_WIDE, y1=_TALL + 1, y2=_TALL + 1),
    )  # fmt: skip


def _level(shares: Distribution, at: int) -> Html:
    before, after = shares.before[at], shares.after[at]
    name = wording.shortened(shares.names[at] or "''", 24)
    label = f"{wording.percent(after)}, was {wording.percent(before)}"
    return element("div", element("bdi", name), charts.level(after, before, name),
                   element("span", label, class_="num"), class_="level")  # fmt: skip

"""Comparison of the batch with the last good one: one card per column, largest shift first."""

from collections.abc import Sequence

from headrace.gates.compare import Bars, ColumnComparison, Stats
from headrace.reports import charts
from headrace.reports.batch.model import Report
from headrace.reports.batch.summary import Page
from headrace.web import wording
from headrace.web.html import Html, element, join

_FEWEST, _MAX_CARDS = 3, 8  # minimum and maximum number of columns that are not collapsed
_ORDER = "Columns that a failed check names come first, then those that moved more than usual."
_RANGE = {"low": "min", "high": "max"}
_ODD_DISTANCE = 0.02  # a column is highlighted if it moved by this much more than usual


def comparison(report: Report, page: Page) -> Html:
    """Show the comparison: first the columns of failed checks, then the largest unusual shifts."""
    head = element("h2", "Compared with the last good batch")
    if report.comparison is None or report.last_good is None:
        sentence = report.not_compared or "There is no earlier batch to compare it with."
        return element("section", head, element("p", sentence), id="compare")
    compared, good = report.comparison, report.last_good
    units, other = dict(report.units), element("code", good.batch_id[:12])
    blamed = {name for result in report.failed for name in result.columns}
    alike = _alike(sorted(compared.columns, key=lambda c: c.name not in blamed))
    cards = [_card(columns, units.get(columns[0].name, "")) for columns in alike]
    odd_count = sum(c[0].name in blamed or is_odd(c[0]) for c in alike)
    first = min(max(_FEWEST, odd_count), _MAX_CARDS)
    rest = cards[first:]
    return element(
        "section",
        head,
        element("p", f"{wording.counted(compared.rows, 'row')} here, {compared.other_rows:,} in ",
                f"{good.slot} (", element("a", other, href=page(good.batch_id)), "). ", _ORDER),
        element("p", _thinned(compared.every), class_="soft small") if compared.every > 1 else None,
        _legend(),
        element("div", cards[:first], class_="cards"),
        element("details", element("summary", f"{wording.counted(len(rest), 'more column')}"),
                element("div", rest, class_="cards")) if rest else None,
        id="compare",
    )  # fmt: skip


def _thinned(step: int) -> str:
    return (
        "Numbers of rows and nulls, min and max are computed from all rows, all other figures from"
        f" one row in {step}, because the batch is large."
    )


def _legend() -> Html:
    return element(
        "p",
        element("span", class_="key t"), "this batch",
        element("span", class_="key o"), "the last good one. ",
        element("span", "“Moved” goes from 0% (same values) to 100% (no value in common).",
                class_="soft"),
        class_="small",
    )  # fmt: skip


def _alike(columns: Sequence[ColumnComparison]) -> list[list[ColumnComparison]]:
    """Group columns with equal statistics, since a derived column often repeats another column."""
    groups: dict[object, list[ColumnComparison]] = {}
    for column in columns:
        groups.setdefault((column.type, column.this, column.other, column.bars), []).append(column)
    return list(groups.values())


def _card(alike: Sequence[ColumnComparison], unit: str) -> Html:
    column, *duplicates = alike
    kind_label = element("span", unit or wording.kind(column.type), class_="soft small")
    also = wording.listed([other.name for other in duplicates])
    return element(
        "article",
        element("h3", element("bdi", column.name), kind_label),
        element("p", f"same values: {also}", class_="small soft also") if duplicates else None,
        element("p", _shift_text(column), class_="small bad" if is_odd(column) else "small soft"),
        _picture(column),
        _stats(column),
        class_="card",
    )


def is_odd(column: ColumnComparison) -> bool:
    """Return True if the column moved more than usual, or has values outside the usual range."""
    return column.excess > _ODD_DISTANCE or bool(column.outside)


def _shift_text(column: ColumnComparison) -> str:
    if column.this is None or column.other is None:
        return f"Not in {'this' if column.this is None else 'the last good'} batch."
    share = f"Moved by {wording.percent(column.distance)}"
    if column.outside:
        low, high = (wording.value(end) for end in column.outside)
        return f"{share}, with values far beyond {low} to {high}, the range of good batches."
    if not column.distance:
        return "The same as before."
    if column.usual is not None and column.excess > _ODD_DISTANCE:
        return f"{share}; usually by up to {wording.percent(column.usual)}."
    return f"{share}." if column.usual is None else f"{share}, about as usual."


def _picture(column: ColumnComparison) -> Html | None:
    bars = column.bars
    if bars is None:
        return None
    if bars.names:
        return join([_level(bars, at) for at in range(len(bars.names))])
    ends = element(
        "div",
        element("span", wording.value(bars.low)),
        element("span", wording.value(bars.high)),
        class_="ends",
    )
    return join([charts.histogram(bars, column.name), ends])


def _level(bars: Bars, at: int) -> Html:
    share, other, name = (
        bars.this[at],
        bars.other[at],
        wording.shortened(bars.names[at] or "''", 24),
    )
    label = f"{wording.percent(share)}, was {wording.percent(other)}"
    return element(
        "div",
        element("bdi", name),
        charts.level(share, other, name),
        element("span", label, class_="num"),
        class_="level",
    )


def _stats(column: ColumnComparison) -> Html:
    """Show the same statistics of both batches side by side."""
    text = column.type == "string"
    names = ("nulls", "distinct", *(() if text else ("low", "median", "high")))
    return element(
        "table",
        element("caption", f"{column.name}: this batch and the last good one", class_="unseen"),
        element("thead", element("tr", [_head(name) for name in ("", "this", "last good")])),
        element("tbody", [_stat(name, column.this, column.other) for name in names]),
    )


def _head(name: str) -> Html:
    return element("th", name, scope="col", class_="num" if name else None)


def _stat(name: str, current: Stats | None, other: Stats | None) -> Html:
    values = [None if of is None else getattr(of, name) for of in (current, other)]
    cells = [_RANGE.get(name, name), *("none" if v is None else wording.value(v) for v in values)]
    return element(
        "tr",
        element("th", cells[0], scope="row"),
        [element("td", value, class_="num") for value in cells[1:]],
    )

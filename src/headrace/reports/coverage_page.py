"""Coverage report as a self-contained page, and as a plot.

It shows which values of recent rows the training split does not cover.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.core.clock import iso
from headrace.reports.batch.page import document
from headrace.web.html import Child, Html, element
from headrace.web.svg_plots import svg
from headrace.web.tables import TableRow, table

_DRAWN = 20
_LABEL_WIDTH, _WIDE, _STEP = 250, 300, 20


def ordered(report: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the columns sorted by share of values outside training, rare values, and name."""
    columns: Mapping[str, Mapping[str, Any]] = report["columns"]
    return sorted(
        columns.items(), key=lambda entry: (-entry[1]["outside"], -_seldom(entry[1]), entry[0])
    )


def _seldom(form: Mapping[str, Any]) -> float:
    return float(form.get("beyond", form.get("rare", 0.0)))


def percent(share: float) -> str:
    """Return a share as a percentage; a share above 0 is never shown as 0."""
    return "<0.01%" if 0 < share < 0.0001 else f"{share:.2%}"


def why(form: Mapping[str, Any]) -> str:
    """Describe those values of a column that training does not cover."""
    parts = []
    if form["kind"] == "number" and "least" in form:
        if form["below"]:
            parts.append(f"{percent(form['below'])} below {_value(form['least'])}")
        if form["above"]:
            parts.append(f"{percent(form['above'])} above {_value(form['greatest'])}")
    if form.get("unseen"):
        values = ", ".join(str(example["value"]) for example in form["examples"])
        parts.append(f"{percent(form['unseen'])} never seen: {values}")
    if form["null_is_new"]:
        parts.append(f"{percent(form['null'])} null, and training has none")
    return "; ".join(parts) or "nothing"


def _value(number: float | str) -> str:
    return number if isinstance(number, str) else f"{number:g}"


def summary(report: Mapping[str, Any]) -> str:
    """Return the report in one or two sentences."""
    text = (
        f"{percent(report['rows'])} of {report['recent_rows']:,} recent rows have a value in some"
        f" column that the {report['train_rows']:,} training rows do not cover"
    )
    if report["moved"]:
        text += f"; columns that moved as a whole are not counted: {', '.join(report['moved'])}"
    return text


def picture(report: Mapping[str, Any], title: str) -> str:
    """Plot the shares of values outside training and of rare values, worst columns first, as SVG.

    Columns that moved as a whole are omitted, because they would make all other bars tiny.
    """
    columns = [entry for entry in ordered(report) if entry[0] not in report["moved"]]
    drawn = [entry for entry in columns if entry[1]["outside"] or _seldom(entry[1])][:_DRAWN]
    largest = max((max(form["outside"], _seldom(form)) for _, form in drawn), default=0.0) or 1.0
    parts = []
    for row, (name, form) in enumerate(drawn):
        y = 34 + row * _STEP
        outside, seldom = form["outside"], _seldom(form)
        parts += [
            _label(_LABEL_WIDTH - 6, y + 10, name[:38], "end"),
            _bar("b", y, outside / largest),
            _bar("n", y + 8, seldom / largest),
            _label(
                _LABEL_WIDTH + _WIDE + 6, y + 10, f"{percent(outside)} / {percent(seldom)}", "start"
            ),
        ]
    if not drawn:
        parts.append(_label(_LABEL_WIDTH, 44, "nothing is outside", "start"))
    height = 60 + max(1, len(drawn)) * _STEP
    legend = "outside training / beyond its tails or rare"
    if report["moved"]:
        legend += f"; moved as a whole: {', '.join(report['moved'])}"
    parts.append(_label(10, height - 10, legend[:110], "start"))
    return svg(_LABEL_WIDTH + _WIDE + 130, height, title, parts)


def _bar(style: str, y: int, share: float) -> str:
    return (
        f'<rect class="{style}" x="{_LABEL_WIDTH}" y="{y}" width="{_WIDE * share:.1f}" height="7"/>'
    )


def _label(x: float, y: float, text: str, anchor: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text class="t" x="{x}" y="{y}" text-anchor="{anchor}">{escaped}</text>'


def page(report: Mapping[str, Any], ref: str) -> str:
    """Return the complete document."""
    begin, end = report["recent_from_us"], report["recent_until_us"]
    span = f"Recent rows: {iso(begin)} to {iso(end)}." if begin is not None else "No recent rows."
    top = element(
        "header",
        element("h1", f"Values that training does not cover: {ref}"),
        element("p", f"{summary(report)}."),
        element("p", span, class_="soft"),
        class_="top NONE",
    )
    parts = [_columns(report), *_segments(report), _pairs(report)]
    return document(f"Coverage of {ref}", top, element("main", parts))


def _columns(report: Mapping[str, Any]) -> Html:
    shifted = report["moved"]
    shares = [form["outside"] for name, form in report["columns"].items() if name not in shifted]
    largest = max(shares, default=0.0) or 1.0
    rows = [
        TableRow(
            element("code", name),
            (
                ("", _meter(min(form["outside"], largest), largest, name)),
                ("outside", percent(form["outside"])),
                ("beyond the tails or rare", percent(_seldom(form))),
                ("", why(form)),
            ),
        )
        for name, form in ordered(report)
    ]
    caption = (
        "Shares of recent rows outside training, by column, the largest first. Bars are relative to"
        " the largest share among columns that have not moved as a whole."
    )
    return _section("Columns", table(caption, ["column", "", "outside", "seldom", "values"], rows))


def _meter(share: float, largest: float, name: str) -> Html:
    bar = element("rect", class_="ts", x=0, y=1, width=f"{120 * share / largest:.1f}", height=10)
    ground = element("rect", class_="o", x=0, y=1, width=120, height=10, fill_opacity="0.35")
    return element(
        "svg",
        ground,
        bar,
        role="img",
        aria_label=f"share of {name} outside training, relative to the largest share",
        viewBox="0 0 120 12",
        width=120,
        height=12,
    )


def _segments(report: Mapping[str, Any]) -> list[Html]:
    segments = []
    for name, lines in report["segments"].items():
        rows = [
            TableRow(
                "null" if line["value"] is None else str(line["value"]),
                (
                    ("rows", f"{line['rows']:,}"),
                    ("outside", percent(line["outside"])),
                    ("most in", line["worst"] or "—"),
                ),
            )
            for line in sorted(lines, key=lambda line: -line["outside"])
        ]
        caption = "Rows outside training in a column that has not moved as a whole."
        heads: Sequence[str] = (name, "rows", "outside", "most in")
        segments.append(_section(f"By {name}", table(caption, heads, rows)))
    return segments


def _pairs(report: Mapping[str, Any]) -> Html:
    rows = [
        TableRow(" and ".join(pair["columns"]), (("outside", percent(pair["outside"])),))
        for pair in report["pairs"]
    ]
    caption = "Both values occur in training, but never together."
    return _section("Pairs", table(caption, ["columns", "outside"], rows) if rows else "None.")


def _section(title: str, *body: Child) -> Html:
    return element("section", element("h2", title), body)

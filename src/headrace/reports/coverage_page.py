"""The coverage report as one self-contained page, and as a picture."""

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.core.clock import iso
from headrace.reports.batch.page import document
from headrace.web.html import Child, Html, element
from headrace.web.svg_plots import svg
from headrace.web.tables import TableRow, table

_DRAWN = 20
_LEFT, _WIDE, _STEP = 250, 300, 20


def ordered(report: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Columns by how far the recent rows are outside, then by name."""
    columns: Mapping[str, Mapping[str, Any]] = report["columns"]
    return sorted(columns.items(), key=lambda one: (-one[1]["outside"], -_seldom(one[1]), one[0]))


def _seldom(form: Mapping[str, Any]) -> float:
    return float(form.get("beyond", form.get("rare", 0.0)))


def percent(share: float) -> str:
    """As people read it: what is there is never shown as nothing."""
    return "<0.01%" if 0 < share < 0.0001 else f"{share:.2%}"


def why(form: Mapping[str, Any]) -> str:
    """In words, what is outside of a column."""
    parts = []
    if form["kind"] == "number" and "least" in form:
        if form["below"]:
            parts.append(f"{percent(form['below'])} below {_value(form['least'])}")
        if form["above"]:
            parts.append(f"{percent(form['above'])} above {_value(form['greatest'])}")
    if form.get("unseen"):
        values = ", ".join(str(one["value"]) for one in form["examples"])
        parts.append(f"{percent(form['unseen'])} never seen: {values}")
    if form["null_is_new"]:
        parts.append(f"{percent(form['null'])} null, and training has none")
    return "; ".join(parts) or "nothing"


def _value(number: float | str) -> str:
    return number if isinstance(number, str) else f"{number:g}"


def says(report: Mapping[str, Any]) -> str:
    """The report in a sentence or two."""
    text = (
        f"{percent(report['rows'])} of {report['recent_rows']:,} recent rows are outside what"
        f" {report['train_rows']:,} training rows cover, in some column"
    )
    if report["moved"]:
        text += f"; not counted are columns that moved as a whole: {', '.join(report['moved'])}"
    return text


def picture(report: Mapping[str, Any], title: str) -> str:
    """Bars of what is outside and what is seldom, the worst columns first, as SVG.

    Columns that moved as a whole are left out: next to them nothing else would be seen.
    """
    kept = [one for one in ordered(report) if one[0] not in report["moved"]]
    shown = [one for one in kept if one[1]["outside"] or _seldom(one[1])][:_DRAWN]
    most = max((max(form["outside"], _seldom(form)) for _, form in shown), default=0.0) or 1.0
    parts = []
    for row, (name, form) in enumerate(shown):
        y = 34 + row * _STEP
        outside, seldom = form["outside"], _seldom(form)
        parts += [
            _label(_LEFT - 6, y + 10, name[:38], "end"),
            _bar("b", y, outside / most),
            _bar("n", y + 8, seldom / most),
            _label(_LEFT + _WIDE + 6, y + 10, f"{percent(outside)} / {percent(seldom)}", "start"),
        ]
    if not shown:
        parts.append(_label(_LEFT, 44, "nothing is outside", "start"))
    height = 60 + max(1, len(shown)) * _STEP
    told = "outside training / beyond its tails or rare"
    if report["moved"]:
        told += f"; moved as a whole: {', '.join(report['moved'])}"
    parts.append(_label(10, height - 10, told[:110], "start"))
    return svg(_LEFT + _WIDE + 130, height, title, parts)


def _bar(style: str, y: int, share: float) -> str:
    return f'<rect class="{style}" x="{_LEFT}" y="{y}" width="{_WIDE * share:.1f}" height="7"/>'


def _label(x: float, y: float, text: str, anchor: str) -> str:
    shown = text.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text class="t" x="{x}" y="{y}" text-anchor="{anchor}">{shown}</text>'


def page(report: Mapping[str, Any], ref: str) -> str:
    """The whole document."""
    begin, end = report["recent_from_us"], report["recent_until_us"]
    span = f"Recent rows: {iso(begin)} to {iso(end)}." if begin is not None else "No recent rows."
    top = element(
        "header",
        element("h1", f"What training does not cover: {ref}"),
        element("p", f"{says(report)}."),
        element("p", span, class_="soft"),
        class_="top NONE",
    )
    parts = [_columns(report), *_segments(report), _pairs(report)]
    return document(f"Coverage of {ref}", top, element("main", parts))


def _columns(report: Mapping[str, Any]) -> Html:
    moved = report["moved"]
    shares = [form["outside"] for name, form in report["columns"].items() if name not in moved]
    most = max(shares, default=0.0) or 1.0
    rows = [
        TableRow(
            element("code", name),
            (
                ("", _meter(min(form["outside"], most), most, name)),
                ("outside", percent(form["outside"])),
                ("beyond the tails or rare", percent(_seldom(form))),
                ("", why(form)),
            ),
        )
        for name, form in ordered(report)
    ]
    told = (
        "Shares of the recent rows, by column, the farthest outside first. Bars are relative to the"
        " farthest that has not moved as a whole."
    )
    return _section("Columns", table(told, ["column", "", "outside", "seldom", "what"], rows))


def _meter(share: float, most: float, name: str) -> Html:
    bar = element("rect", class_="ts", x=0, y=1, width=f"{120 * share / most:.1f}", height=10)
    ground = element("rect", class_="o", x=0, y=1, width=120, height=10, fill_opacity="0.35")
    return element(
        "svg",
        ground,
        bar,
        role="img",
        aria_label=f"how far {name} is outside, relative to the farthest",
        viewBox="0 0 120 12",
        width=120,
        height=12,
    )


def _segments(report: Mapping[str, Any]) -> list[Html]:
    segments = []
    for name, lines in report["segments"].items():
        rows = [
            TableRow(
                "null" if one["value"] is None else str(one["value"]),
                (
                    ("rows", f"{one['rows']:,}"),
                    ("outside", percent(one["outside"])),
                    ("most in", one["worst"] or "—"),
                ),
            )
            for one in sorted(lines, key=lambda line: -line["outside"])
        ]
        told = "Rows outside in some column that has not moved as a whole."
        heads: Sequence[str] = (name, "rows", "outside", "most in")
        segments.append(_section(f"By {name}", table(told, heads, rows)))
    return segments


def _pairs(report: Mapping[str, Any]) -> Html:
    rows = [
        TableRow(" and ".join(one["columns"]), (("outside", percent(one["outside"])),))
        for one in report["pairs"]
    ]
    told = "Both values are known from training, and never together."
    return _section("Pairs", table(told, ["columns", "outside"], rows) if rows else "None.")


def _section(title: str, *body: Child) -> Html:
    return element("section", element("h2", title), body)

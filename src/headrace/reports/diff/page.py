"""A diff as one self-contained page: light and dark, phone and desk, no script, nothing fetched."""

from collections.abc import Sequence

from headrace.datasets.diff.model import Change, Column, Diff, Row
from headrace.reports.batch.page import document
from headrace.reports.diff import pictures
from headrace.reports.diff.wording import changed, headline, number, span, value, what_moved
from headrace.web import wording
from headrace.web.html import Child, Html, element
from headrace.web.tables import TableRow as Line
from headrace.web.tables import table

_OPEN = 9  # columns that are drawn at once
_TONES = {"MAJOR": "BLOCK", "MINOR": "WARN", "PATCH": "WARN"}


def page(found: Diff) -> str:
    """The whole document."""
    sections = [
        _rows(found),
        _columns(found),
        _schema(found),
        _changes("meaning", "What the values mean", found.meaning),
        _changes("governance", "Who may use it, and how long", found.governance),
        _steps(found),
        _origin(found),
    ]
    places = [
        ("Rows", "rows"),
        ("Columns", "columns"),
        ("Schema", "schema"),
        ("Meaning", "meaning"),
    ]
    told = {
        "rows",
        "columns",
        *(["schema"] * bool(found.schema)),
        *(["meaning"] * bool(found.meaning)),
    }
    links = [element("a", name, href=f"#{place}") for name, place in places if place in told]
    one, other = (found.content_hashes[n] for n in (0, 1))
    return document(
        f"{found.before} → {found.after}",
        _top(found),
        element("nav", links, aria_label="Parts of this diff"),
        element("main", [section for section in sections if section]),
        element("footer", element("p", "content hash of the first ", element("code", one)),
                element("p", "content hash of the second ", element("code", other))),
    )  # fmt: skip


def _top(found: Diff) -> Html:
    tone = "PASS" if found.equal else _TONES.get(found.change, "NONE")
    rows = found.rows
    sums = [
        ("rows before", rows.before), ("rows after", rows.after), ("added", rows.added),
        ("removed", rows.removed), ("changed", rows.changed), ("moved between splits", rows.moved),
    ]  # fmt: skip
    reasons = [element("li", reason) for reason in found.reasons]
    return element(
        "header",
        element("p", element("strong", found.before.partition("@")[0]),
                element("span", span(found), class_="mono"),
                element("span", found.change, class_=f"chip {tone}"), class_="where"),
        element("h1", wording.capital(headline(found))),
        element("div", element("p", element("strong", "Released after the first, the second is "),
                               element("strong", found.change), "."),
                element("ul", reasons), class_="call"),
        element("dl", [element("div", element("dt", name), element("dd", f"{count:,}"))
                       for name, count in sums], class_="sum"),
        class_=f"top {tone}",
    )  # fmt: skip


def _rows(found: Diff) -> Html:
    rows = found.rows
    read = (
        f"{rows.skipped:,} of the {rows.same:,} rows that are the same lie in parts which both "
        f"releases have; {found.parts[2]:,} such parts were not read."
    )
    if found.keys is None:
        read = "The two have different keys, so that no row of one could be found in the other."
    return element(
        "section",
        element("h2", "Rows"),
        element("p", read, class_="soft"),
        _by_split(found),
        _moves(found),
        _examples("Changed rows, for example", _changed_rows(found)),
        _alone("Added rows, for example", rows.examples_added),
        _alone("Removed rows, for example", rows.examples_removed),
        _examples("Rows in another split, for example", [
            Line(_key(one.row), ((("", f"{one.before} → {one.after}")),))
            for one in rows.examples_moved
        ]),
        id="rows",
    )  # fmt: skip


def _by_split(found: Diff) -> Html | None:
    rows = found.rows
    names = sorted({*rows.added_by_split, *rows.removed_by_split}, key=str)
    if not names:
        return None
    lines = [
        Line(str(name), (("added", f"{rows.added_by_split.get(name, 0):,}"),
                         ("removed", f"{rows.removed_by_split.get(name, 0):,}")))
        for name in names
    ]  # fmt: skip
    return table("Rows that came and went, by split", ("split", "added", "removed"), lines)


def _moves(found: Diff) -> Html | None:
    if not found.rows.moves:
        return None
    lines = [Line(f"{a} → {b}", (("rows", f"{n:,}"),)) for a, b, n in found.rows.moves]
    return table("Rows that are in another split", ("from, to", "rows"), lines)


def _examples(caption: str, lines: Sequence[Line]) -> Html | None:
    return table(caption, ("row", "what"), lines) if lines else None


def _changed_rows(found: Diff) -> list[Line]:
    return [
        Line(_key(one.row), (("", [_cell(name, *both) for name, both in one.cells.items()]),))
        for one in found.rows.examples_changed
    ]


def _cell(name: str, before: object, after: object) -> Html:
    return element("span", element("bdi", name), " ", element("span", value(before), class_="soft"),
                   " → ", element("strong", value(after)), class_="cell")  # fmt: skip


def _alone(caption: str, rows: Sequence[Row]) -> Html | None:
    if not rows:
        return None
    lines = [Line(_key(row), (("", value(row.t)), ("", str(row.split)))) for row in rows]
    return table(caption, ("row", "t", "split"), lines)


def _key(one: Row) -> list[Child]:
    return [
        element("span", element("span", name, class_="soft"), " ", value(cell), class_="cell")
        for name, cell in one.key.items()
    ]


def _columns(found: Diff) -> Html:
    moved = [c for c in found.columns if c.changed or (c.distribution and c.distribution.distance)]
    alike = [column.name for column in found.columns if column not in moved]
    cards = [_card(column, found) for column in moved]
    rest = cards[_OPEN:]
    return element(
        "section",
        element("h2", "Columns"),
        element(
            "p",
            element("span", class_="key t"), "after",
            element("span", class_="key o"), "before. ",
            element("span", "“Apart” goes from 0% (alike) to 100% (nothing in common); a PSI above "
                    "0.25 is commonly called a shift. Nulls, ends and means are of all rows; the "
                    "rest is of samples.", class_="soft"),
            class_="small",
        ) if moved else element("p", "No column changed."),
        element("div", cards[:_OPEN], class_="cards"),
        element("details", element("summary", wording.counted(len(rest), "more column")),
                element("div", rest, class_="cards")) if rest else None,
        element("p", f"The same in both: {', '.join(alike)}.", class_="soft small")
        if alike else None,
        id="columns",
    )  # fmt: skip


def _card(column: Column, found: Diff) -> Html:
    return element(
        "article",
        element("h3", element("bdi", column.name),
                element("span", f"{column.role}, {column.type}", class_="soft small")),
        element("p", what_moved(column, found.rows), class_="small"),
        pictures.distribution(column),
        _numbers(column),
        [element("p", _where(example.row), _cell("", example.before, example.after), class_="small")
         for example in column.examples[:3]],
        class_="card",
    )  # fmt: skip


def _where(one: Row) -> list[Child]:
    return [element("span", value(cell), " ", class_="soft") for cell in one.key.values()]


def _numbers(column: Column) -> Html:
    sides = (column.before, column.after)
    averaged = any(side.mean is not None for side in sides)
    names = ("nulls", "low", *(["mean"] if averaged else []), "high")
    head = [element("th", name, scope="col", class_="num") for name in ("before", "after")]
    shown = {"low": "min", "high": "max"}
    lines = [
        element("tr", element("th", shown.get(name, name), scope="row"),
                [element("td", number(getattr(of, name)), class_="num")
                 for of in sides])
        for name in names
    ]  # fmt: skip
    return element("table", element("thead", element("tr", element("th"), head)),
                   element("tbody", lines))  # fmt: skip


def _schema(found: Diff) -> Html | None:
    if not found.schema:
        return None
    lines = [
        Line(one.column, (("", one.what), ("before", value_or_none(one.before)),
                          ("after", value_or_none(one.after))))
        for one in found.schema
    ]  # fmt: skip
    heads = ("column", "what", "before", "after")
    told = table("Columns that came, went or changed", heads, lines)
    return element("section", element("h2", "Schema"), told, id="schema")


def value_or_none(said: object) -> str:
    return "—" if said is None else value(said)


def _changes(name: str, title: str, changes: Sequence[Change]) -> Html | None:
    if not changes:
        return None
    return element("section", element("h2", title), _change_table(title, changes), id=name)


def _change_table(caption: str, changes: Sequence[Change]) -> Html:
    lines = [
        Line(name, (("before", before or "—"), ("after", after or "—")))
        for name, before, after in map(changed, changes)
    ]
    return table(caption, ("what", "before", "after"), lines)


def _steps(found: Diff) -> Html | None:
    if not found.steps:
        return None
    lines = [
        Line(step.version, (("", step.change), ("", element("ul", [
            element("li", reason) for reason in step.reasons])))) for step in found.steps
    ]  # fmt: skip
    told = table("Each with its reasons", ("version", "change", "why"), lines)
    return element("section", element("h2", "Versions in between"), told, id="steps")


def _origin(found: Diff) -> Html | None:
    if not found.origin:
        return None
    return element(
        "section",
        element("details", element("summary", "Where they came from"),
                element("p", "What makes no difference by itself.", class_="soft"),
                _change_table("Origin", found.origin)),
        id="origin",
    )  # fmt: skip

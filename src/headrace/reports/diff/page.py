"""Diff of two releases as one self-contained page without scripts, for phones and desktops."""

from collections.abc import Sequence

from headrace.datasets.diff.model import ColumnDiff, MetadataChange, ReleaseDiff, Row
from headrace.reports.batch.page import document
from headrace.reports.diff import pictures
from headrace.reports.diff.wording import changed, headline, number, span, value, what_moved
from headrace.web import wording
from headrace.web.html import Child, Html, element
from headrace.web.tables import TableRow as Line
from headrace.web.tables import table

_OPEN = 9  # columns that are not collapsed
_TONES = {"MAJOR": "BLOCK", "MINOR": "WARN", "PATCH": "WARN"}


def page(diff: ReleaseDiff) -> str:
    """Return the complete document."""
    sections = [
        _rows(diff),
        _columns(diff),
        _schema(diff),
        _changes("meaning", "What the values mean", diff.meaning),
        _changes("governance", "Who may use it, and how long", diff.governance),
        _steps(diff),
        _origin(diff),
    ]
    places = [
        ("Rows", "rows"),
        ("Columns", "columns"),
        ("Schema", "schema"),
        ("Meaning", "meaning"),
    ]
    present = {
        "rows",
        "columns",
        *(["schema"] * bool(diff.schema)),
        *(["meaning"] * bool(diff.meaning)),
    }
    links = [element("a", name, href=f"#{place}") for name, place in places if place in present]
    before_hash, after_hash = (diff.content_hashes[n] for n in (0, 1))
    return document(
        f"{diff.before} → {diff.after}",
        _top(diff),
        element("nav", links, aria_label="Parts of this diff"),
        element("main", [section for section in sections if section]),
        element("footer", element("p", "content hash of the first ", element("code", before_hash)),
                element("p", "content hash of the second ", element("code", after_hash))),
    )  # fmt: skip


def _top(diff: ReleaseDiff) -> Html:
    tone = "PASS" if diff.equal else _TONES.get(diff.change, "NONE")
    rows = diff.rows
    sums = [
        ("rows before", rows.before), ("rows after", rows.after), ("added", rows.added),
        ("removed", rows.removed), ("changed", rows.changed), ("moved between splits", rows.moved),
    ]  # fmt: skip
    reasons = [element("li", reason) for reason in diff.reasons]
    return element(
        "header",
        element("p", element("strong", diff.before.partition("@")[0]),
                element("span", span(diff), class_="mono"),
                element("span", diff.change, class_=f"chip {tone}"), class_="where"),
        element("h1", wording.capital(headline(diff))),
        element("div", element("p", element("strong", "From the first to the second, it changes: "),
                               element("strong", diff.change), "."),
                element("ul", reasons), class_="call"),
        element("dl", [element("div", element("dt", name), element("dd", f"{count:,}"))
                       for name, count in sums], class_="sum"),
        class_=f"top {tone}",
    )  # fmt: skip


def _rows(diff: ReleaseDiff) -> Html:
    rows = diff.rows
    read = (
        f"{rows.skipped:,} of the {rows.same:,} equal rows are in parts that both releases share; "
        f"these {diff.parts[2]:,} parts were not read."
    )
    if diff.keys is None:
        read = "The two releases have different keys, so their rows cannot be matched."
    return element(
        "section",
        element("h2", "Rows"),
        element("p", read, class_="soft"),
        _by_split(diff),
        _moves(diff),
        _examples("Changed rows, for example", _changed_rows(diff)),
        _key_table("Added rows, for example", rows.examples_added),
        _key_table("Removed rows, for example", rows.examples_removed),
        _examples("Rows in another split, for example", [
            Line(_key(move.row), ((("", f"{move.before} → {move.after}")),))
            for move in rows.examples_moved
        ]),
        id="rows",
    )  # fmt: skip


def _by_split(diff: ReleaseDiff) -> Html | None:
    rows = diff.rows
    names = sorted({*rows.added_by_split, *rows.removed_by_split}, key=str)
    if not names:
        return None
    lines = [
        Line(str(name), (("added", f"{rows.added_by_split.get(name, 0):,}"),
                         ("removed", f"{rows.removed_by_split.get(name, 0):,}")))
        for name in names
    ]  # fmt: skip
    return table("Added and removed rows, by split", ("split", "added", "removed"), lines)


def _moves(diff: ReleaseDiff) -> Html | None:
    if not diff.rows.moves:
        return None
    lines = [Line(f"{a} → {b}", (("rows", f"{n:,}"),)) for a, b, n in diff.rows.moves]
    return table("Rows that moved to another split", ("from, to", "rows"), lines)


def _examples(caption: str, lines: Sequence[Line]) -> Html | None:
    return table(caption, ("row", "what"), lines) if lines else None


def _changed_rows(diff: ReleaseDiff) -> list[Line]:
    return [
        Line(_key(change.row), (("", [_cell(name, *both) for name, both in change.cells.items()]),))
        for change in diff.rows.examples_changed
    ]


def _cell(name: str, before: object, after: object) -> Html:
    return element("span", element("bdi", name), " ", element("span", value(before), class_="soft"),
                   " → ", element("strong", value(after)), class_="cell")  # fmt: skip


def _key_table(caption: str, rows: Sequence[Row]) -> Html | None:
    if not rows:
        return None
    lines = [Line(_key(row), (("", value(row.t)), ("", str(row.split)))) for row in rows]
    return table(caption, ("row", "t", "split"), lines)


def _key(row: Row) -> list[Child]:
    return [
        element("span", element("span", name, class_="soft"), " ", value(cell), class_="cell")
        for name, cell in row.key.items()
    ]


def _columns(diff: ReleaseDiff) -> Html:
    changed_columns = [
        c for c in diff.columns if c.changed or (c.distribution and c.distribution.distance)
    ]
    alike = [column.name for column in diff.columns if column not in changed_columns]
    cards = [_card(column, diff) for column in changed_columns]
    rest = cards[_OPEN:]
    return element(
        "section",
        element("h2", "Columns"),
        element(
            "p",
            element("span", class_="key t"), "after",
            element("span", class_="key o"), "before. ",
            element("span", "“Apart” goes from 0% (same values) to 100% (no value in common); a "
                    "PSI above 0.25 is commonly called a shift. Nulls, min, max and means are "
                    "computed from all rows, all other figures from samples.", class_="soft"),
            class_="small",
        ) if changed_columns else element("p", "No column changed."),
        element("div", cards[:_OPEN], class_="cards"),
        element("details", element("summary", wording.counted(len(rest), "more column")),
                element("div", rest, class_="cards")) if rest else None,
        element("p", f"The same in both: {', '.join(alike)}.", class_="soft small")
        if alike else None,
        id="columns",
    )  # fmt: skip


def _card(column: ColumnDiff, diff: ReleaseDiff) -> Html:
    return element(
        "article",
        element("h3", element("bdi", column.name),
                element("span", f"{column.role}, {column.type}", class_="soft small")),
        element("p", what_moved(column, diff.rows), class_="small"),
        pictures.distribution(column),
        _numbers(column),
        [element("p", _where(example.row), _cell("", example.before, example.after), class_="small")
         for example in column.examples[:3]],
        class_="card",
    )  # fmt: skip


def _where(row: Row) -> list[Child]:
    return [element("span", value(cell), " ", class_="soft") for cell in row.key.values()]


def _numbers(column: ColumnDiff) -> Html:
    sides = (column.before, column.after)
    averaged = any(side.mean is not None for side in sides)
    names = ("nulls", "low", *(["mean"] if averaged else []), "high")
    head = [element("th", name, scope="col", class_="num") for name in ("before", "after")]
    labels = {"low": "min", "high": "max"}
    lines = [
        element("tr", element("th", labels.get(name, name), scope="row"),
                [element("td", number(getattr(of, name)), class_="num")
                 for of in sides])
        for name in names
    ]  # fmt: skip
    return element("table", element("thead", element("tr", element("th"), head)),
                   element("tbody", lines))  # fmt: skip


def _schema(diff: ReleaseDiff) -> Html | None:
    if not diff.schema:
        return None
    lines = [
        Line(change.column, (("", change.what), ("before", value_or_none(change.before)),
                          ("after", value_or_none(change.after))))
        for change in diff.schema
    ]  # fmt: skip
    heads = ("column", "what", "before", "after")
    schema_table = table("Added, removed and changed columns", heads, lines)
    return element("section", element("h2", "Schema"), schema_table, id="schema")


def value_or_none(cell: object) -> str:
    return "—" if cell is None else value(cell)


def _changes(name: str, title: str, changes: Sequence[MetadataChange]) -> Html | None:
    if not changes:
        return None
    return element("section", element("h2", title), _change_table(title, changes), id=name)


def _change_table(caption: str, changes: Sequence[MetadataChange]) -> Html:
    lines = [
        Line(name, (("before", before or "—"), ("after", after or "—")))
        for name, before, after in map(changed, changes)
    ]
    return table(caption, ("what", "before", "after"), lines)


def _steps(diff: ReleaseDiff) -> Html | None:
    if not diff.steps:
        return None
    lines = [
        Line(step.version, (("", step.change), ("", element("ul", [
            element("li", reason) for reason in step.reasons])))) for step in diff.steps
    ]  # fmt: skip
    steps_table = table("Versions and their reasons", ("version", "change", "why"), lines)
    return element("section", element("h2", "Versions in between"), steps_table, id="steps")


def _origin(diff: ReleaseDiff) -> Html | None:
    if not diff.origin:
        return None
    return element(
        "section",
        element("details", element("summary", "Differences of origin"),
                element("p", "These differences alone do not change the version.", class_="soft"),
                _change_table("Origin", diff.origin)),
        id="origin",
    )  # fmt: skip

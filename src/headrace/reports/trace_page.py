"""Trace of a released row as a self-contained page without scripts, for phones and desktops."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from headrace.core.clock import iso
from headrace.lineage.row_trace.contributing_rows import ROLES
from headrace.lineage.row_trace.feature_trace import LABEL, SPINE
from headrace.lineage.row_trace.release_trace import Trace
from headrace.reports.batch.page import document
from headrace.web.html import Html, element
from headrace.web.tables import TableRow, table
from headrace.web.wording import value

MAX_ROWS = 30
_ROLE_TEXTS = {
    "decides": "gives the value",
    "counts": "in the window, but does not change the value",
    "filtered": "excluded by the filter",
    "superseded": "replaced by another version",
    "deleted": "tombstone that deletes its key",
    "moved": "of another entity, or outside the window",
    "witness": "evidence that the entity has a history",
}


def page(trace: Trace, max_rows: int = MAX_ROWS) -> str:
    """Return the complete document, with up to `max_rows` source rows per column.

    Rows that decide a value come first.
    """
    sources = {name: list(trace.source_rows(name)) for name in trace.rows.tables}
    columns = list(trace.columns())
    views = [
        (view, list(group)) for view, group in groupby(columns, key=lambda column: column["view"])
    ]
    row_columns = [_column("the row", trace.rows_of(SPINE), sources, max_rows)]
    values = trace.released.to_pylist()[0]
    label = ", ".join(f"{name} = {values[name]}" for name in trace.manifest.of_role("label"))
    row_columns.append(_column(f"label: {label}", trace.rows_of(LABEL), sources, max_rows))
    places = [("Features", "#features"), ("Sources", "#sources")]
    links = [element("a", name, href=place) for name, place in places]
    return document(
        f"{trace.ref} {_key(trace)}",
        _top(trace, sources),
        element("nav", links, aria_label="Parts of this trace"),
        element(
            "main",
            element("section", element("h2", "The row and its label"), row_columns),
            element("section", element("h2", "Features"),
                    [_view(view, group, sources, max_rows) for view, group in views],
                    id="features"),
            _sources(trace),
        ),
        element("footer", element("p", "code ", element("code", trace.manifest.code_revision)),
                element("p", "content hash ", element("code", trace.manifest.content_hash))),
    )  # fmt: skip


def _key(trace: Trace) -> str:
    return " ".join(f"{name}={value}" for name, value in trace.key.items())


def _top(trace: Trace, sources: Mapping[str, Sequence[Any]]) -> Html:
    tone = "BLOCK" if trace.differs else "PASS"
    sentence = (
        f"Recomputed from the traced rows alone, it differs in {', '.join(trace.differs)}."
        if trace.differs
        else "Recomputed from the traced rows alone, it is equal, to the bit."
    )
    counts = [*((f"rows of {name}", len(rows)) for name, rows in sources.items())]
    return element(
        "header",
        element("p", element("strong", trace.manifest.name),
                element("span", trace.manifest.version, class_="mono"),
                element("span", trace.released["split"][0].as_py(), class_="tag"),
                element("span", trace.manifest.mode, class_="tag"), class_="where"),
        element("h1", _key(trace)),
        element("p", f"Predicted at {iso(trace.t)}; label read as of {iso(trace.rows.cut)}."),
        element("div", element("p", element("strong", sentence)), class_="call"),
        element("dl", [element("div", element("dt", name), element("dd", f"{count:,}"))
                       for name, count in counts], class_="sum"),
        class_=f"top {tone}",
    )  # fmt: skip


def _view(
    view: str, columns: Sequence[Mapping[str, Any]], sources: Mapping[str, list[Any]], max_rows: int
) -> Html:
    entries = [
        _column(_feature_text(column), column, sources, max_rows, what=column["what"])
        if "table" in column
        else element("p", element("strong", _feature_text(column)), " ",
                     element("span", column["what"], class_="soft"))
        for column in columns
    ]  # fmt: skip
    heading = element(
        "h3", view, " ", element("code", columns[0]["definition"][:12], class_="soft")
    )
    return element("article", heading, entries, class_="step")


def _feature_text(column: Mapping[str, Any]) -> str:
    reason = f" ({column['reason']})" if column.get("reason") else ""
    return f"{column['feature']} = {column['value']}{reason}"


def _column(
    title: str,
    column: Mapping[str, Any],
    sources: Mapping[str, list[Any]],
    max_rows: int,
    *,
    what: str = "",
) -> Html:
    rows = column["rows"]
    counts = ", ".join(f"{len(rows[role]):,} {role}" for role in ROLES if role in rows)
    window = column["window"]
    within = f", from {window[0] or '…'} until {window[1] or '…'}" if window else ""
    source_rows = sources[column["table"]]
    picked = [
        (role, source_rows[number])
        for role in ROLES
        for number in sorted(
            rows.get(role, ()), key=lambda n: source_rows[n]["event_time"], reverse=True
        )
    ]
    rest = len(picked) - max_rows
    return element(
        "details",
        element("summary", title),
        element("p", what, class_="soft") if what else None,
        element("p", f"{column['table']}: {counts or 'no row'}{within}", class_="soft small"),
        table(
            f"source rows of {column['table']}",
            ["delivered", "role", "key", "happened", "usable"],
            [_row(role, row) for role, row in picked[:max_rows]],
        )
        if picked
        else None,
        element("p", f"and {rest:,} more: headrace trace … --json", class_="soft")
        if rest > 0
        else None,
    )


def _row(role: str, row: Mapping[str, Any]) -> TableRow:
    page_of = f"page {row['page']}, record {row['record']}, " if "page" in row else ""
    head = [
        element("span", row["file"], class_="mono small"),
        element("br"),
        element("span", f"{page_of}line {row['line']}, batch {row['batch'][:12]}", class_="soft"),
    ]
    key = " ".join(str(value) for value in row["key"].values())
    return TableRow(
        head,
        (
            (
                "",
                element("span", role, " ", element("span", _ROLE_TEXTS[role], class_="soft small")),
            ),
            ("key", key),
            ("happened", value(row["event_time"])),
            ("usable", value(row["usable_at"])),
        ),
    )


def _sources(trace: Trace) -> Html:
    rows = []
    for name, batches in trace.evidence.items():
        source = trace.manifest.inputs[name]
        counts: dict[str, int] = {}
        for batch in batches.values():
            verdict = batch.verdict.verdict if batch.verdict else "unknown here"
            counts[verdict] = counts.get(verdict, 0) + 1
        overrides = [override for batch in batches.values() for override in batch.overrides]
        rows.append(
            TableRow(
                name,
                (
                    ("rows", f"{trace.rows.tables[name].num_rows:,}"),
                    ("verdicts", ", ".join(f"{label} {n}" for label, n in sorted(counts.items()))),
                    ("contract", source.contract_version),
                    ("snapshot", str(source.snapshot_id)),
                    ("overrides", _overrides(overrides)),
                ),
            )
        )
    heads = ["table", "rows", "verdicts", "contract", "snapshot", "overrides"]
    return element(
        "section",
        element("h2", "Sources"),
        table("gate results of the traced rows' batches", heads, rows),
        id="sources",
    )


def _overrides(overrides: Sequence[Mapping[str, Any]]) -> str:
    sentences = {
        f"{override['action']} by {override['principal']}: {override['reason']}"
        for override in overrides
    }
    return "; ".join(sorted(sentences)) or "none"

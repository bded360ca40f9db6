"""A trace as one self-contained page: light and dark, phone and desk, no script."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from headrace.core.clock import iso
from headrace.lineage.row_trace.contributing_rows import ROLES
from headrace.lineage.row_trace.row_trace import LABEL, SPINE
from headrace.lineage.row_trace.trace import Trace
from headrace.reports.batch.page import document
from headrace.web.html import Html, element
from headrace.web.tables import TableRow, table
from headrace.web.wording import value

MOST = 30
_SAYS = {
    "decides": "gives the value",
    "counts": "in the window, changes nothing",
    "filtered": "out by the filter",
    "superseded": "another version took its place",
    "deleted": "the tombstone that held",
    "moved": "of another entity, or outside the window",
    "witness": "shows that there is a history",
}


def page(found: Trace, most: int = MOST) -> str:
    """The whole document; of each column up to `most` rows, those that decide first."""
    sources = {name: list(found.source_rows(name)) for name in found.rows.tables}
    columns = list(found.columns())
    views = [
        (view, list(some)) for view, some in groupby(columns, key=lambda column: column["view"])
    ]
    own = [_column("the row", found.rows_of(SPINE), sources, most)]
    values = found.released.to_pylist()[0]
    label = ", ".join(f"{name} = {values[name]}" for name in found.manifest.of_role("label"))
    own.append(_column(f"label: {label}", found.rows_of(LABEL), sources, most))
    places = [("Features", "#features"), ("Sources", "#sources")]
    links = [element("a", name, href=place) for name, place in places]
    return document(
        f"{found.ref} {_key(found)}",
        _top(found, sources),
        element("nav", links, aria_label="Parts of this trace"),
        element(
            "main",
            element("section", element("h2", "The row and its label"), own),
            element("section", element("h2", "Features"),
                    [_view(view, some, sources, most) for view, some in views], id="features"),
            _sources(found),
        ),
        element("footer", element("p", "made by ", element("code", found.manifest.code_revision)),
                element("p", "content hash ", element("code", found.manifest.content_hash))),
    )  # fmt: skip


def _key(found: Trace) -> str:
    return " ".join(f"{name}={value}" for name, value in found.key.items())


def _top(found: Trace, sources: Mapping[str, Sequence[Any]]) -> Html:
    tone = "BLOCK" if found.differs else "PASS"
    said = (
        f"Computed anew from the traced rows alone, it differs in {', '.join(found.differs)}."
        if found.differs
        else "Computed anew from the traced rows alone, it is equal, to the bit."
    )
    counts = [*((f"rows of {name}", len(rows)) for name, rows in sources.items())]
    return element(
        "header",
        element("p", element("strong", found.manifest.name),
                element("span", found.manifest.version, class_="mono"),
                element("span", found.released["split"][0].as_py(), class_="tag"),
                element("span", found.manifest.mode, class_="tag"), class_="where"),
        element("h1", _key(found)),
        element("p", f"Predicted at {iso(found.t)}; label read as of {iso(found.rows.cut)}."),
        element("div", element("p", element("strong", said)), class_="call"),
        element("dl", [element("div", element("dt", name), element("dd", f"{count:,}"))
                       for name, count in counts], class_="sum"),
        class_=f"top {tone}",
    )  # fmt: skip


def _view(
    view: str, some: Sequence[Mapping[str, Any]], sources: Mapping[str, list[Any]], most: int
) -> Html:
    told = [
        _column(_said(one), one, sources, most, what=one["what"])
        if "table" in one
        else element("p", element("strong", _said(one)), " ",
                     element("span", one["what"], class_="soft"))
        for one in some
    ]  # fmt: skip
    heading = element("h3", view, " ", element("code", some[0]["definition"][:12], class_="soft"))
    return element("article", heading, told, class_="step")


def _said(one: Mapping[str, Any]) -> str:
    reason = f" ({one['reason']})" if one.get("reason") else ""
    return f"{one['feature']} = {one['value']}{reason}"


def _column(
    title: str,
    one: Mapping[str, Any],
    sources: Mapping[str, list[Any]],
    most: int,
    *,
    what: str = "",
) -> Html:
    rows = one["rows"]
    counts = ", ".join(f"{len(rows[role]):,} {role}" for role in ROLES if role in rows)
    window = one["window"]
    within = f", from {window[0] or '…'} until {window[1] or '…'}" if window else ""
    held = sources[one["table"]]
    picked = [
        (role, held[number])
        for role in ROLES
        for number in sorted(rows.get(role, ()), key=lambda n: held[n]["event_time"], reverse=True)
    ]
    more = len(picked) - most
    return element(
        "details",
        element("summary", title),
        element("p", what, class_="soft") if what else None,
        element("p", f"{one['table']}: {counts or 'no row'}{within}", class_="soft small"),
        table(
            f"source rows of {one['table']}",
            ["delivered", "role", "key", "happened", "usable"],
            [_row(role, row) for role, row in picked[:most]],
        )
        if picked
        else None,
        element("p", f"and {more:,} more: headrace trace … --json", class_="soft")
        if more > 0
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
            ("", element("span", role, " ", element("span", _SAYS[role], class_="soft small"))),
            ("key", key),
            ("happened", value(row["event_time"])),
            ("usable", value(row["usable_at"])),
        ),
    )


def _sources(found: Trace) -> Html:
    rows = []
    for name, batches in found.evidence.items():
        given = found.manifest.inputs[name]
        counts: dict[str, int] = {}
        for batch in batches.values():
            said = batch.verdict.verdict if batch.verdict else "unknown here"
            counts[said] = counts.get(said, 0) + 1
        overrides = [override for batch in batches.values() for override in batch.overrides]
        rows.append(
            TableRow(
                name,
                (
                    ("rows", f"{found.rows.tables[name].num_rows:,}"),
                    ("verdicts", ", ".join(f"{one} {n}" for one, n in sorted(counts.items()))),
                    ("contract", given.contract_version),
                    ("snapshot", str(given.snapshot_id)),
                    ("overrides", _overrides(overrides)),
                ),
            )
        )
    heads = ["table", "rows", "verdicts", "contract", "snapshot", "overrides"]
    return element(
        "section",
        element("h2", "Sources"),
        table("what the traced rows passed", heads, rows),
        id="sources",
    )


def _overrides(some: Sequence[Mapping[str, Any]]) -> str:
    told = {f"{one['action']} by {one['principal']}: {one['reason']}" for one in some}
    return "; ".join(sorted(told)) or "none"

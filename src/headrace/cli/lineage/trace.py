"""`headrace trace`: the delivered lines from which a row of a release was computed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from headrace.cli.options import Release
from headrace.cli.output import BLOCKED, emit_json, explained, grid, out
from headrace.core.errors import DeclarationError

if TYPE_CHECKING:
    from headrace.datasets.manifest import Manifest
    from headrace.lineage.row_trace.release_trace import Trace

FEW = 5
_SHORT = 12


@explained
def trace(
    ref: Release,
    key: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY...",
            help="Key of the row: column=value for each key column, or only the value if"
            " the key has one column.",
        ),
    ],
    *,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            "-c",
            help="Only this feature, or the features of this view; may be repeated.",
        ),
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option(
            "--rows",
            help="Source rows to show per column; default: 1, or 5 with --column.",
            min=0,
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(help="Also write a self-contained page to this file."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document with every row.")
    ] = False,
) -> None:
    r"""Trace a row of a release back to the delivered lines it was computed from.

    For the spine, the label and each feature the command lists the source rows used: their place in
    a delivery (file or page, line, batch), their event time, known-at and availability, the verdict
    and the overrides under which they were published. For a null value it gives the reason.

    The command then recomputes the row from those source rows alone; the last line says if the
    result is equal, to the bit. Exit code 1: it differs.

    For example:

      headrace trace flights_delay@latest year=2013 month=1 day=5 carrier=UA \
        flight=1545 origin=EWR --column carrier__late_mean_1d
    """
    from headrace.core.files import write_atomically
    from headrace.core.home import Home
    from headrace.datasets.store.store import Store
    from headrace.lineage.row_trace.release_trace import trace as traced
    from headrace.reports.trace_page import page

    home = Home.find()
    store = Store.find(home.store)
    manifest = store.manifest(*store.resolve(ref))
    traced_row = traced(manifest.ref, parsed_key(key, manifest), home)
    features = _selected(traced_row, column or [])
    if html is not None:
        write_atomically(html, page(traced_row).encode())
    if as_json:
        document = traced_row.to_json()
        if features:
            document["features"] = list(traced_row.columns(features))
        emit_json(document)
    else:
        few = FEW if features else 1
        _show(traced_row, features, few if rows is None else rows)
        if html is not None:
            out.print(Text(f"page: {html}"), soft_wrap=True)
    if traced_row.differs:
        raise typer.Exit(BLOCKED)


def parsed_key(words: Sequence[str], manifest: "Manifest") -> dict[str, str]:
    """Parse `column=value` words, or only the value if the key has one column."""
    if (
        len(manifest.key) == 1
        and len(words) == 1
        and not words[0].startswith(f"{manifest.key[0]}=")
    ):
        return {manifest.key[0]: words[0]}
    key = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise DeclarationError(
                f"{word!r} is not column=value",
                where=f"the key of {manifest.ref}",
                fix=f"give {' '.join(f'{column}=…' for column in manifest.key)}",
            )
        key[name] = value
    return key


def _selected(traced_row: "Trace", columns: Sequence[str]) -> list[str]:
    names = [name for name in traced_row.rows.columns if name not in {"spine", "label"}]
    selected = [
        n for n in names if any(n == column or n.startswith(f"{column}__") for column in columns)
    ]
    # A transform has no source rows of its own: show those of its inputs.
    selected += [
        feature
        for name in selected
        for feature in traced_row.rows.columns[name].inputs
        if feature in names
    ]
    if columns and not selected:
        raise DeclarationError(
            f"{traced_row.ref} has no feature {', '.join(columns)}",
            where=traced_row.ref,
            fix=f"name one of {', '.join(names)}, or a view: the part of these names before the __",
        )
    return list(dict.fromkeys(selected))


def _show(traced_row: "Trace", features: Sequence[str], limit: int) -> None:
    from headrace.core.clock import iso

    manifest = traced_row.manifest
    key = " ".join(f"{name}={value}" for name, value in traced_row.key.items())
    out.print(Text.assemble((manifest.ref, "bold"), f"  {key}"), soft_wrap=True)
    split = traced_row.released["split"][0].as_py()
    out.print(
        f"predicted at {iso(traced_row.t)}, in {split}, label read as of"
        f" {iso(traced_row.rows.cut)}, mode {manifest.mode}; made by {manifest.code_revision}",
        highlight=False,
        soft_wrap=True,
    )
    sources = {table: list(traced_row.source_rows(table)) for table in traced_row.rows.tables}
    _show_column("spine", {"feature": "spine", **traced_row.rows_of("spine")}, sources, limit)
    label = {"feature": "label", **traced_row.rows_of("label")}
    values = traced_row.released.to_pylist()[0]
    label["value"] = ", ".join(f"{n}={values[n]}" for n in manifest.of_role("label"))
    _show_column("label", label, sources, limit)
    view = ""
    for column in traced_row.columns(features):
        if column["view"] != view:
            view = column["view"]
            out.print(
                Text.assemble(
                    ("\n" + view, "bold"), f"  definition {column['definition'][:_SHORT]}"
                )
            )
        _show_column(column["feature"], column, sources, limit)
    _show_tables(traced_row)
    verdict = (
        Text(f"differs when recomputed: {', '.join(traced_row.differs)}", "bold red")
        if traced_row.differs
        else Text("recomputed from these rows alone: equal, to the bit", "green")
    )
    out.print(verdict, soft_wrap=True)


def _show_column(
    name: str, column: Mapping[str, Any], sources: Mapping[str, list[dict[str, Any]]], limit: int
) -> None:
    line = Text.assemble(("  " + name, "cyan"))
    if "value" in column:
        line.append(f" = {column['value']}")
    if column.get("reason"):
        line.append(f" ({column['reason']})", "yellow")
    if what := column.get("what"):
        line.append(f"  {what}", "dim")
    out.print(line, soft_wrap=True)
    if "table" not in column:
        return
    rows = column["rows"]
    counts = ", ".join(f"{len(numbers):,} {role}" for role, numbers in rows.items()) or "no row"
    window = column["window"]
    within = f" in [{window[0] or '…'}, {window[1] or '…'})" if window else ""
    out.print(
        f"    {column['table']}: {counts}{within}", style="dim", highlight=False, soft_wrap=True
    )
    # The most important roles first, and within a role the latest rows first.
    picked = [
        (role, number)
        for role, numbers in rows.items()
        for number in sorted(numbers, key=lambda n: sources[column["table"]][n]["event_time"])[::-1]
    ]
    for role, number in picked[:limit]:
        out.print(
            Text("      " + _row_text(role, sources[column["table"]][number])), soft_wrap=True
        )
    if len(picked) > limit > 0:
        out.print(f"      … and {len(picked) - limit:,} more: --rows, or --json", style="dim")


def _row_text(role: str, row: Mapping[str, Any]) -> str:
    page = f" page {row['page']} record {row['record']}" if "page" in row else ""
    key = " ".join(str(value) for value in row["key"].values())
    return (
        f"{role:10} {row['file']}{page} line {row['line']}  [{row['batch'][:_SHORT]}]  {key}"
        f"  happened {row['event_time']}, usable {row['usable_at']}"
    )


def _show_tables(traced_row: "Trace") -> None:
    inputs = traced_row.manifest.inputs
    grid(
        "\nsources",
        ["table", "rows#", "batches#", "verdicts", "contract", "snapshot", "overrides#"],
        [
            [
                table,
                traced_row.rows.tables[table].num_rows,
                len(batches),
                _verdicts(batches),
                inputs[table].contract_version,
                str(inputs[table].snapshot_id),
                len({override["id"] for batch in batches.values() for override in batch.overrides}),
            ]
            for table, batches in traced_row.evidence.items()
        ],
    )
    for batches in traced_row.evidence.values():
        for batch in batches.values():
            for override in batch.overrides:
                text = f"{override['action']} of {override['table']} {override['slot']}"
                text += f" by {override['principal']}"
                out.print(Text(f"override: {text}: {override['reason']}", "yellow"), soft_wrap=True)


def _verdicts(batches: Mapping[str, Any]) -> str:
    counts: dict[str, int] = {}
    for batch in batches.values():
        name = batch.verdict.verdict if batch.verdict else "unknown here"
        counts[name] = counts.get(name, 0) + 1
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))

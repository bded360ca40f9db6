"""`headrace trace`: one row of a release, back to the lines it is made of."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from headrace.cli.output import BLOCKED, emit_json, explained, grid, out
from headrace.core.errors import DeclarationError

if TYPE_CHECKING:
    from headrace.datasets.manifest import Manifest
    from headrace.lineage.row_trace.trace import Trace

FEW = 5
_SHORT = 12


@explained
def trace(
    ref: Annotated[
        str, typer.Argument(help="A release: flights_delay@1.0.0, or flights_delay@latest.")
    ],
    key: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY...",
            help="The row's key: column=value for each key column, or the bare value of a key of"
            " one column.",
        ),
    ],
    *,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column", "-c", help="Only this feature, or those of this view; may be repeated."
        ),
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option(
            "--rows",
            help="How many source rows to show for each column; one, or five with --column.",
            min=0,
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(help="Also write a page that holds everything it needs to this file."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document: every row, none left out.")
    ] = False,
) -> None:
    """Show which delivered lines a row of a release is made of, feature by feature.

    For the spine, the label and each feature: the source rows that it counts, where they were
    delivered (file or page, line, batch), when they happened, were known and were usable, the
    verdict and the overrides by which they were published; and why a value is null.

    The row is then computed anew from those rows alone. That it comes out equal, to the bit, is
    said at the end; should it not, the exit code is 1.

    Example: headrace trace flights_delay@latest year=2013 month=1 day=5 carrier=UA flight=1545
    origin=EWR --column carrier__late_mean_1d
    """
    from headrace.core.files import write_atomically
    from headrace.core.home import Home
    from headrace.datasets.store.store import Store
    from headrace.lineage.row_trace.trace import trace as traced
    from headrace.reports.trace_page import page

    home = Home.find()
    store = Store.find(home.store)
    manifest = store.manifest(*store.resolve(ref))
    found = traced(manifest.ref, parsed_key(key, manifest), home)
    chosen = _chosen(found, column or [])
    if html is not None:
        write_atomically(html, page(found).encode())
    if as_json:
        document = found.to_json()
        if chosen:
            document["features"] = list(found.columns(chosen))
        emit_json(document)
    else:
        few = FEW if chosen else 1
        _show(found, chosen, few if rows is None else rows)
        if html is not None:
            out.print(Text(f"page: {html}"), soft_wrap=True)
    if found.differs:
        raise typer.Exit(BLOCKED)


def parsed_key(words: Sequence[str], manifest: "Manifest") -> dict[str, str]:
    """`column=value` words, or the one value of a key of one column."""
    if (
        len(manifest.key) == 1
        and len(words) == 1
        and not words[0].startswith(f"{manifest.key[0]}=")
    ):
        return {manifest.key[0]: words[0]}
    found = {}
    for word in words:
        name, given, value = word.partition("=")
        if not given:
            raise DeclarationError(
                f"{word!r} is not column=value",
                where=f"the key of {manifest.ref}",
                fix=f"give {' '.join(f'{one}=…' for one in manifest.key)}",
            )
        found[name] = value
    return found


def _chosen(found: "Trace", wanted: Sequence[str]) -> list[str]:
    names = [name for name in found.rows.columns if name not in {"spine", "label"}]
    chosen = [n for n in names if any(n == one or n.startswith(f"{one}__") for one in wanted)]
    # What a transform is made of are its inputs' rows.
    chosen += [
        input_ for name in chosen for input_ in found.rows.columns[name].inputs if input_ in names
    ]
    if wanted and not chosen:
        raise DeclarationError(
            f"{found.ref} has no feature {', '.join(wanted)}",
            where=found.ref,
            fix=f"name one of {', '.join(names)}, or a view: its part before the __",
        )
    return list(dict.fromkeys(chosen))


def _show(found: "Trace", chosen: Sequence[str], most: int) -> None:
    from headrace.core.clock import iso

    manifest = found.manifest
    key = " ".join(f"{name}={value}" for name, value in found.key.items())
    out.print(Text.assemble((manifest.ref, "bold"), f"  {key}"), soft_wrap=True)
    split = found.released["split"][0].as_py()
    out.print(
        f"predicted at {iso(found.t)}, in {split}, label read as of {iso(found.rows.cut)}, mode"
        f" {manifest.mode}; made by {manifest.code_revision}",
        highlight=False,
        soft_wrap=True,
    )
    sources = {table: list(found.source_rows(table)) for table in found.rows.tables}
    _show_column("spine", {"feature": "spine", **found.rows_of("spine")}, sources, most)
    label = {"feature": "label", **found.rows_of("label")}
    values = found.released.to_pylist()[0]
    label["value"] = ", ".join(f"{n}={values[n]}" for n in manifest.of_role("label"))
    _show_column("label", label, sources, most)
    view = ""
    for column in found.columns(chosen):
        if column["view"] != view:
            view = column["view"]
            out.print(
                Text.assemble(
                    ("\n" + view, "bold"), f"  definition {column['definition'][:_SHORT]}"
                )
            )
        _show_column(column["feature"], column, sources, most)
    _show_tables(found)
    verdict = (
        Text(f"differs when recomputed: {', '.join(found.differs)}", "bold red")
        if found.differs
        else Text("recomputed from these rows alone: equal, to the bit", "green")
    )
    out.print(verdict, soft_wrap=True)


def _show_column(
    name: str, one: Mapping[str, Any], sources: Mapping[str, list[dict[str, Any]]], most: int
) -> None:
    line = Text.assemble(("  " + name, "cyan"))
    if "value" in one:
        line.append(f" = {one['value']}")
    if one.get("reason"):
        line.append(f" ({one['reason']})", "yellow")
    if what := one.get("what"):
        line.append(f"  {what}", "dim")
    out.print(line, soft_wrap=True)
    if "table" not in one:
        return
    rows = one["rows"]
    counts = ", ".join(f"{len(numbers):,} {role}" for role, numbers in rows.items()) or "no row"
    window = one["window"]
    within = f" in [{window[0] or '…'}, {window[1] or '…'})" if window else ""
    out.print(f"    {one['table']}: {counts}{within}", style="dim", highlight=False, soft_wrap=True)
    # Those that decide first, and of each role the latest.
    picked = [
        (role, number)
        for role, numbers in rows.items()
        for number in sorted(numbers, key=lambda n: sources[one["table"]][n]["event_time"])[::-1]
    ]
    for role, number in picked[:most]:
        out.print(Text("      " + _row_text(role, sources[one["table"]][number])), soft_wrap=True)
    if len(picked) > most > 0:
        out.print(f"      … and {len(picked) - most:,} more: --rows, or --json", style="dim")


def _row_text(role: str, row: Mapping[str, Any]) -> str:
    page = f" page {row['page']} record {row['record']}" if "page" in row else ""
    key = " ".join(str(value) for value in row["key"].values())
    return (
        f"{role:10} {row['file']}{page} line {row['line']}  [{row['batch'][:_SHORT]}]  {key}"
        f"  happened {row['event_time']}, usable {row['usable_at']}"
    )


def _show_tables(found: "Trace") -> None:
    inputs = found.manifest.inputs
    grid(
        "\nsources",
        ["table", "rows#", "batches#", "verdicts", "contract", "snapshot", "overrides#"],
        [
            [
                table,
                found.rows.tables[table].num_rows,
                len(batches),
                _verdicts(batches),
                inputs[table].contract_version,
                str(inputs[table].snapshot_id),
                len({override["id"] for batch in batches.values() for override in batch.overrides}),
            ]
            for table, batches in found.evidence.items()
        ],
    )
    for batches in found.evidence.values():
        for batch in batches.values():
            for one in batch.overrides:
                told = f"{one['action']} of {one['table']} {one['slot']} by {one['principal']}"
                out.print(Text(f"override: {told}: {one['reason']}", "yellow"), soft_wrap=True)


def _verdicts(batches: Mapping[str, Any]) -> str:
    counts: dict[str, int] = {}
    for batch in batches.values():
        name = batch.verdict.verdict if batch.verdict else "unknown here"
        counts[name] = counts.get(name, 0) + 1
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))

"""`headrace dataset lineage`: the source columns of a release's columns."""

from typing import Annotated, Any

import typer

from headrace.cli.options import AsJson, Release
from headrace.cli.output import emit_json, explained, grid, out
from headrace.core.errors import DeclarationError, StateError


@explained
def lineage(
    ref: Release,
    *,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", "-c", help="Only this column; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show where each released column comes from: tables, columns and transformations.

    Direct inputs supply the values of a column; indirect inputs select them: the entity, the
    window, the filter, the time of availability. Lineage is recorded with the release. For the
    lineage of a single row, see `headrace trace`.

    For example:

      headrace dataset lineage flights_delay@latest --column carrier__late_mean_1d
    """
    from headrace.datasets.store.store import Store

    store = Store.find()
    manifest = store.manifest(*store.resolve(ref))
    if not manifest.lineage:
        raise StateError(
            f"{manifest.ref} has no column lineage",
            where=str(store.root),
            fix="the release was made by hand, or before lineage was recorded; make a new release",
        )
    document = store.get_json(manifest.lineage)
    if unknown := sorted(set(column or ()) - set(document["columns"])):
        raise DeclarationError(
            f"{manifest.ref} has no column {', '.join(unknown)}",
            where=manifest.ref,
            fix=f"one of {', '.join(document['columns'])}",
        )
    names = [name for name in document["columns"] if not column or name in column]
    columns = {name: document["columns"][name] for name in names}
    if as_json:
        emit_json({"ref": manifest.ref, **document, "columns": columns})
        return
    grid(
        f"columns of {manifest.ref}",
        ["column", "values from", "chosen by"],
        [_row(name, columns[name]) for name in names],
    )
    if not column:
        out.print("--json also shows how table columns derive from deliveries, and all rules")


def _row(name: str, column: dict[str, Any]) -> list[str]:
    inputs = {"DIRECT": dict[str, None](), "INDIRECT": dict[str, None]()}
    for source in column["inputs"]:
        how = f" ({source['subtype'].lower()})"
        inputs[source["kind"]][f"{source['table']}.{source['column']}{how}"] = None
    via = f" via {', '.join(column['from'])}" if column["from"] else ""
    treated = f" [{column['treatment']}]" if column["treatment"] not in {"", "keep", "none"} else ""
    return [name + treated, ", ".join(inputs["DIRECT"]) + via, ", ".join(inputs["INDIRECT"])]

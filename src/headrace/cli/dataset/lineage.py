"""`headrace dataset lineage`: which columns of which tables a release's columns come from."""

from typing import Annotated, Any

import typer

from headrace.cli.dataset.datasets import Json
from headrace.cli.output import emit_json, explained, grid, out
from headrace.core.errors import DeclarationError, StateError


@explained
def lineage(
    ref: Annotated[
        str, typer.Argument(help="A release: flights_delay@1.0.0, or flights_delay@latest.")
    ],
    *,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", "-c", help="Only this column; may be repeated."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show where each released column comes from: table, column, and by what.

    Direct inputs give the column its values; indirect ones decide which values: the entity, the
    window, the filter, what was known. It is recorded when the release is made, and is part of it.
    For one row and its lines see `headrace trace`.
    """
    from headrace.datasets.store.store import Store

    store = Store.find()
    manifest = store.manifest(*store.resolve(ref))
    if not manifest.lineage:
        raise StateError(
            f"{manifest.ref} has no column lineage",
            where=str(store.root),
            fix="it was released by hand, or before lineage was recorded; release it again",
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
        out.print("what tables derive from deliveries, and every rule: --json")


def _row(name: str, one: dict[str, Any]) -> list[str]:
    told = {"DIRECT": dict[str, None](), "INDIRECT": dict[str, None]()}
    for source in one["inputs"]:
        how = f" ({source['subtype'].lower()})"
        told[source["kind"]][f"{source['table']}.{source['column']}{how}"] = None
    via = f" via {', '.join(one['from'])}" if one["from"] else ""
    treated = f" [{one['treatment']}]" if one["treatment"] not in {"", "keep", "none"} else ""
    return [name + treated, ", ".join(told["DIRECT"]) + via, ", ".join(told["INDIRECT"])]

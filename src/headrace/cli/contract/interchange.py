"""`headrace contract export|import`: contracts to and from plain ODCS."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from headrace.cli.output import BLOCKED, emit_json, err, explained, out

if TYPE_CHECKING:
    from headrace.scaffold.interchange import Arrived

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


@explained
def export(
    table: Annotated[str, typer.Argument(help="A table that has a contract, or its file.")],
    *,
    form: Annotated[str, typer.Option("--format", help="odcs: the only one.")] = "odcs",
    suite: Annotated[
        Path | None, typer.Option(help="Its suite; the project's if left out.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--out", help="A new file; it is printed if left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a contract as a plain ODCS 3.2 document, for other tools.

    What was kept from an import is back in its place, and what the suite demands of the rows is
    among the quality rules. It is held to the published JSON schema, if that is installed
    (`pip install 'headrace[odcs]'`).
    """
    from headrace.contracts.authoring.yaml_values import block
    from headrace.contracts.evolution.project_check import contract_files, versions_of
    from headrace.contracts.odcs.json_schema import schema
    from headrace.core.errors import DeclarationError
    from headrace.core.home import project_root
    from headrace.scaffold.interchange import depart, suite_of

    if form != "odcs":
        raise DeclarationError(f"no format {form!r}", where="--format", fix="--format odcs")
    contract = versions_of(table, contract_files(project_root()))[0]
    document = depart(contract, suite or suite_of(contract))
    _write({} if to is None else {to: block(document)})
    if as_json:
        emit_json(document)
    elif to is None:
        out.print(Text(block(document).rstrip()), soft_wrap=True)
    if schema() is None:
        err.print("not held to the published schema: pip install 'headrace\\[odcs]'")


@explained
def import_(
    file: Annotated[Path, typer.Argument(help="An ODCS 3 document of any tool, YAML or JSON.")],
    *,
    table: Annotated[
        str | None, typer.Option(help="The one table to take; all of them if left out.")
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--out", help="A folder for contracts/ and quality_suites/; printed if not."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make contracts of an ODCS document, one for each table, for a person to decide on.

    What the standard does not say (when a row is known, field ids, licence, purposes) is marked
    TODO; what Headrace does not read is kept word for word and comes back on export; demands on
    the data become a suite, or are listed as not enforced. Exit code 1: a contract will not load
    even when all is decided, for the reason given.
    """
    from headrace.scaffold.interchange import arrive

    made = arrive(file, table)
    _write(_files(made, to))
    if as_json:
        emit_json([one.as_json() for one in made])
    else:
        for one in made:
            _show(one, to)
    if any(one.broken for one in made):
        raise typer.Exit(BLOCKED)


def _files(made: "Sequence[Arrived]", to: Path | None) -> dict[Path, str]:
    if to is None:
        return {}
    files = {to / "contracts" / f"{one.table}.yaml": one.contract for one in made}
    return files | {
        to / "quality_suites" / f"{one.table}.yaml": one.suite for one in made if one.suite
    }


def _write(files: dict[Path, str]) -> None:
    from headrace.scaffold.files import write_new

    write_new(Path.cwd(), {str(path): text for path, text in files.items()})


def _show(one: "Arrived", to: Path | None) -> None:
    if to is None:
        for text in filter(None, (one.contract, one.suite)):
            out.print(Text(text.rstrip()), soft_wrap=True)
    err.print(Text(one.table, "bold"))
    lines: list[Any] = [*one.notes, f"{len(one.undecided)} TODO are for a person to decide"]
    for line in [*lines, *([one.broken] if one.broken else [])]:
        err.print(Text(f"  {line}"), soft_wrap=True)

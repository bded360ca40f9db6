"""`headrace contract export|import`: conversion of contracts to and from plain ODCS documents."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from headrace.cli.options import AsJson
from headrace.cli.output import BLOCKED, emit_json, err, explained, out
from headrace.web.wording import counted

if TYPE_CHECKING:
    from headrace.scaffold.interchange import Arrived


@explained
def export(
    table: Annotated[str, typer.Argument(help="Table with a contract, or a contract file.")],
    *,
    form: Annotated[
        str, typer.Option("--format", help="Output format; odcs is the only one.")
    ] = "odcs",
    suite: Annotated[
        Path | None, typer.Option(help="Suite to include; default: the project's.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--out", help="New file to write; default: print.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a contract as a plain ODCS 3.2 document, for other tools.

    The export restores fields that an import preserved, and writes the suite's checks on rows as
    quality rules. It validates the document against the published JSON schema if that is installed
    (`pip install 'headrace[odcs]'`).

    For example:

      headrace contract export orders --out orders.odcs.yaml
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
        err.print("not validated against the published schema: pip install 'headrace\\[odcs]'")


@explained
def import_(
    file: Annotated[Path, typer.Argument(help="ODCS 3 document, YAML or JSON.")],
    *,
    table: Annotated[str | None, typer.Option(help="Only this table; default: all.")] = None,
    to: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for contracts/ and quality_suites/; default: print."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draft contracts from an ODCS document, one per table, for a person to complete.

    Values that ODCS has no field for (known-at, field ids, licence, purposes) are marked TODO.
    Fields that Headrace does not read are preserved word for word and restored on export. Quality
    rules become a suite, or are listed as not enforced. Exit code 1: a contract could not be loaded
    even with all TODOs resolved; the reason is shown.

    For example:

      headrace contract import orders.odcs.yaml --out draft
    """
    from headrace.scaffold.interchange import arrive

    drafts = arrive(file, table)
    _write(_files(drafts, to))
    if as_json:
        emit_json([draft.as_json() for draft in drafts])
    else:
        for draft in drafts:
            _show(draft, to)
    if any(draft.broken for draft in drafts):
        raise typer.Exit(BLOCKED)


def _files(drafts: "Sequence[Arrived]", to: Path | None) -> dict[Path, str]:
    if to is None:
        return {}
    files = {to / "contracts" / f"{draft.table}.yaml": draft.contract for draft in drafts}
    return files | {
        to / "quality_suites" / f"{draft.table}.yaml": draft.suite
        for draft in drafts
        if draft.suite
    }


def _write(files: dict[Path, str]) -> None:
    from headrace.scaffold.files import write_new

    write_new(Path.cwd(), {str(path): text for path, text in files.items()})


def _show(draft: "Arrived", to: Path | None) -> None:
    if to is None:
        for text in filter(None, (draft.contract, draft.suite)):
            out.print(Text(text.rstrip()), soft_wrap=True)
    err.print(Text(draft.table, "bold"))
    todos = counted(len(draft.undecided), "TODO")
    lines: list[Any] = [*draft.notes, f"{todos} for a person to decide"]
    for line in [*lines, *([draft.broken] if draft.broken else [])]:
        err.print(Text(f"  {line}"), soft_wrap=True)

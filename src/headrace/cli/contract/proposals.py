"""`headrace contract propose`: draft of a contract from data, for a person to complete."""

from collections.abc import Iterator, Sequence
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from headrace.cli.contract.contracts import show_comparison
from headrace.cli.options import AsJson
from headrace.cli.output import BLOCKED, emit_json, err, explained, grid, out
from headrace.web.wording import counted

if TYPE_CHECKING:
    from headrace.contracts.authoring.open_questions import Undecided
    from headrace.scaffold.proposal import Draft, Proposal


@explained
def propose(
    table: Annotated[
        str | None,
        typer.Argument(help="Table with a contract, or its contract file; omit for a new source."),
    ] = None,
    *,
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="Delivery: any address that `headrace source inspect` reads; may be repeated."
        ),
    ] = None,
    before: Annotated[
        list[str] | None,
        typer.Option(
            help="Earlier delivery, to detect renamed columns; default: the published rows."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of a new table; default: the file's name.")
    ] = None,
    owner: Annotated[str | None, typer.Option(help="Owner of a new table.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="Kind of the rows: event, state or planned.")
    ] = None,
    time: Annotated[str | None, typer.Option(help="Column with the time of the event.")] = None,
    key: Annotated[
        list[str] | None, typer.Option(help="Column of the primary key; may be repeated.")
    ] = None,
    known_after: Annotated[
        str | None, typer.Option(help="Delay from the event until its row is available: 10m, 1d.")
    ] = None,
    zone: Annotated[
        str | None, typer.Option(help="IANA zone of times without an offset: Europe/Berlin.")
    ] = None,
    time_format: Annotated[str | None, typer.Option(help="Format of times (strptime).")] = None,
    to: Annotated[
        Path | None, typer.Option("--out", help="New file to write; default: print.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draft a contract from data, or the next version of one whose source changed.

    Values that data cannot show (unit, zone, known-at, licence, purposes) are
    marked TODO for a person to decide, and no rows are published under a draft
    until a person sets `status: active`. The active contract is never changed:
    the draft is printed, or written to a new file.

      headrace contract propose --data orders.csv --name orders --out orders.yaml

      headrace contract propose weather --data weather_2014-01-02.csv

    Exit code 1: the next version would break a consumer, or some rows do not
    fit the draft.
    """
    if table is not None:
        _revise(table, data or [], before or [], to, as_json=as_json)
        return
    from headrace.scaffold.inspection.sampled_source import table_name
    from headrace.scaffold.proposal import SourceAnswers, draft, read_sample

    sample = read_sample(data or [])
    new_table = name or table_name(sample)
    statements = SourceAnswers(
        new_table, owner, kind, time, tuple(key or ()), known_after, zone, time_format
    )
    _show_notes(sample.notes)
    _tell_draft(draft(sample, statements), to, as_json=as_json)


def _tell_draft(drafted: "Draft", to: Path | None, *, as_json: bool) -> None:
    _write(to, drafted.text)
    if as_json:
        emit_json({**drafted.as_json(), "path": to})
    else:
        if to is None:
            out.print(Text(drafted.text.rstrip()), soft_wrap=True)
        _show_faults(drafted.faults)
        where = to or "FILE"
        todos = counted(len(drafted.undecided), "TODO")
        err.print(f"{todos} for a person to decide: headrace contract lint {where}")
    if drafted.faults:
        raise typer.Exit(BLOCKED)


def _revise(
    table: str, data: Sequence[str], before: Sequence[str], to: Path | None, *, as_json: bool
) -> None:
    from headrace.contracts.load import parse_contract

    proposal = _revised(table, data, before)
    if proposal.after is not None and to is not None:
        parse_contract(proposal.text, to.absolute())  # the draft must also be valid at its new path
        _write(to, proposal.text)
    if as_json:
        emit_json({**proposal.as_json(), "path": to if proposal.after is not None else None})
    else:
        _show(proposal, to)
    if proposal.breaks or proposal.faults:
        raise typer.Exit(BLOCKED)


def _revised(table: str, data: Sequence[str], before: Sequence[str]) -> "Proposal":
    from headrace.contracts import conform
    from headrace.contracts.evolution.project_check import contract_files, versions_of
    from headrace.core.home import project_root
    from headrace.scaffold.proposal import as_rows, published, read_sample, revise

    contract, *beside = versions_of(table, contract_files(project_root()))
    sample = read_sample(data)
    _show_notes(sample.notes)
    earlier = published(contract)
    rows = earlier.rows
    if before:
        then = as_rows(read_sample(before), contract.null_tokens)
        rows = conform(contract, then, "before").table
    return revise(
        contract,
        as_rows(sample, contract.null_tokens),
        text=contract.path.read_text(encoding="utf-8"),
        beside=beside,
        used_ids=earlier.field_ids,
        before=rows,
        reference=earlier.reference,
    )


def _show(proposal: "Proposal", to: Path | None) -> None:
    if proposal.steps:
        grid(
            f"{proposal.before.table}: findings in the data",
            ["column", "", "finding", "proposed"],
            [
                [step.field or "", step.kind, step.text, step.edit is not None]
                for step in proposal.steps
            ],
        )
    for comparison in proposal.comparisons:
        show_comparison(comparison)
    _show_faults(proposal.faults)
    _show_undecided(proposal.undecided)
    if proposal.after is None:
        version = f"{proposal.before.table} {proposal.before.version}"
        out.print(f"nothing to propose: the data fit {version}", highlight=False)
    elif to is None:
        out.print(Text("".join(_diff(proposal)).rstrip()), soft_wrap=True)
    else:
        out.print(
            f"written to {to}; {_relative(proposal.before.path)} stays active", soft_wrap=True
        )


def _diff(proposal: "Proposal") -> Iterator[str]:
    old = proposal.before.path.read_text(encoding="utf-8").splitlines(keepends=True)
    new = proposal.text.splitlines(keepends=True)
    return unified_diff(old, new, _relative(proposal.before.path), "proposed")


def _relative(path: Path) -> str:
    folder = Path.cwd()
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def _show_undecided(marks: "Sequence[Undecided]") -> None:
    if marks:
        out.print(Text("for a person to decide:", "bold"))
    for mark in marks:
        out.print(Text(f"  {mark.path}: {mark.text}"), soft_wrap=True)


def _show_notes(notes: Sequence[str]) -> None:
    """Print notes about the data on stderr, since stdout may be a JSON document."""
    for note in notes:
        err.print(Text(f"note: {note}"), soft_wrap=True)


def _show_faults(faults: Sequence[str]) -> None:
    if faults:
        err.print(Text("the data do not fit the draft:", "bold red"))
    for fault in faults:
        err.print(Text(f"  {fault}"), soft_wrap=True)


def _write(to: Path | None, text: str) -> None:
    from headrace.scaffold.files import write_new

    if to is not None:
        write_new(to.absolute().parent, {to.name: text})

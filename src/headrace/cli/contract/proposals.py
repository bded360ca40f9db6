"""`headrace contract propose`: a contract from data, for a person to decide on."""

from collections.abc import Iterator, Sequence
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from headrace.cli.contract.contracts import show_comparison
from headrace.cli.output import BLOCKED, emit_json, err, explained, grid, out

if TYPE_CHECKING:
    from headrace.contracts.authoring.open_questions import Undecided
    from headrace.scaffold.proposal import Draft, Proposal


@explained
def propose(
    table: Annotated[
        str | None,
        typer.Argument(help="A table that has a contract, or its file; none for a new source."),
    ] = None,
    *,
    data: Annotated[
        list[str] | None,
        typer.Option(help="A delivery: whatever `headrace source try` reads; repeat it for more."),
    ] = None,
    before: Annotated[
        list[str] | None,
        typer.Option(help="An earlier one, to know renamed columns by; else what is published."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of a new table; the file's name.")] = None,
    owner: Annotated[str | None, typer.Option(help="Who answers for a new table.")] = None,
    kind: Annotated[str | None, typer.Option(help="event, state or planned.")] = None,
    time: Annotated[str | None, typer.Option(help="The column that says when.")] = None,
    key: Annotated[
        list[str] | None, typer.Option(help="A column that identifies a row; repeat it for more.")
    ] = None,
    known_after: Annotated[
        str | None, typer.Option(help="How long after its time a row can be used: 10m, 1d.")
    ] = None,
    zone: Annotated[
        str | None, typer.Option(help="IANA zone of times without an offset: Europe/Berlin.")
    ] = None,
    time_format: Annotated[str | None, typer.Option(help="How times read (strptime).")] = None,
    to: Annotated[
        Path | None, typer.Option("--out", help="A new file for it; it is printed if left out.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead of text.")
    ] = False,
) -> None:
    r"""Propose a contract from data, or the next version of one whose source has changed.

    What data cannot tell (unit, zone, known-at, licence, purposes) is marked
    TODO for a person, and nothing is published under a proposal until somebody
    wrote `status: active`. The contract in force is never changed: the proposal
    is printed, or written to a new file.

      headrace contract propose --data orders.csv --name orders --out orders.yaml

      headrace contract propose weather --data weather_2014-01-02.csv

    Exit code 1: the next version would break a consumer, or rows of the data
    fit no contract that could be proposed.
    """
    if table is not None:
        _revise(table, data or [], before or [], to, as_json=as_json)
        return
    from headrace.scaffold.inspection.sampled_source import table_name
    from headrace.scaffold.proposal import Told, draft, read_sample

    sample = read_sample(data or [])
    named = name or table_name(sample)
    told = Told(named, owner, kind, time, tuple(key or ()), known_after, zone, time_format)
    _show_notes(sample.notes)
    _tell_draft(draft(sample, told), to, as_json=as_json)


def _tell_draft(made: "Draft", to: Path | None, *, as_json: bool) -> None:
    _write(to, made.text)
    if as_json:
        emit_json({**made.as_json(), "path": to})
    else:
        if to is None:
            out.print(Text(made.text.rstrip()), soft_wrap=True)
        _show_faults(made.faults)
        where = to or "FILE"
        err.print(f"{len(made.undecided)} TODO are for a person: headrace contract lint {where}")
    if made.faults:
        raise typer.Exit(BLOCKED)


def _revise(
    table: str, data: Sequence[str], before: Sequence[str], to: Path | None, *, as_json: bool
) -> None:
    from headrace.contracts.load import parse_contract

    made = _revised(table, data, before)
    if made.after is not None and to is not None:
        parse_contract(made.text, to.absolute())  # what it looks up is found from there as well
        _write(to, made.text)
    if as_json:
        emit_json({**made.as_json(), "path": to if made.after is not None else None})
    else:
        _show(made, to)
    if made.breaks or made.faults:
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
    known = earlier.rows
    if before:
        then = as_rows(read_sample(before), contract.null_tokens)
        known = conform(contract, then, "before").table
    return revise(
        contract,
        as_rows(sample, contract.null_tokens),
        text=contract.path.read_text(encoding="utf-8"),
        beside=beside,
        used_ids=earlier.field_ids,
        before=known,
        reference=earlier.reference,
    )


def _show(made: "Proposal", to: Path | None) -> None:
    if made.steps:
        grid(
            f"{made.before.table}: what the data show",
            ["column", "", "what was seen", "proposed"],
            [
                [step.field or "", step.kind, step.text, step.edit is not None]
                for step in made.steps
            ],
        )
    for comparison in made.comparisons:
        show_comparison(comparison)
    _show_faults(made.faults)
    _show_undecided(made.undecided)
    if made.after is None:
        version = f"{made.before.table} {made.before.version}"
        out.print(f"nothing to propose: the data ask for nothing but {version}", highlight=False)
    elif to is None:
        out.print(Text("".join(_diff(made)).rstrip()), soft_wrap=True)
    else:
        out.print(f"written to {to}; {_shown(made.before.path)} stays in force", soft_wrap=True)


def _diff(made: "Proposal") -> Iterator[str]:
    old = made.before.path.read_text(encoding="utf-8").splitlines(keepends=True)
    new = made.text.splitlines(keepends=True)
    return unified_diff(old, new, _shown(made.before.path), "proposed")


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _show_undecided(marks: "Sequence[Undecided]") -> None:
    if marks:
        out.print(Text("for a person to decide:", "bold"))
    for mark in marks:
        out.print(Text(f"  {mark.path}: {mark.text}"), soft_wrap=True)


def _show_notes(notes: Sequence[str]) -> None:
    """What is odd about the data; on stderr, beside any JSON."""
    for note in notes:
        err.print(Text(f"note: {note}"), soft_wrap=True)


def _show_faults(faults: Sequence[str]) -> None:
    if faults:
        err.print(Text("the data do not fit it as it stands:", "bold red"))
    for fault in faults:
        err.print(Text(f"  {fault}"), soft_wrap=True)


def _write(to: Path | None, text: str) -> None:
    from headrace.scaffold.files import write_new

    if to is not None:
        write_new(to.absolute().parent, {to.name: text})

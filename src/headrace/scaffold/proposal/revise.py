"""Proposal of a contract's next version for a source that changed; the proposal is never active.

Each change in the data is a step with an edit of the contract's text. If the contract does not load
after an edit, the edit is undone and the step is left to a person. The version is bumped as far as
the compatibility rules require, compared with the current version and all others in use.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts import Contract, ContractComparison, Field, Level, compare, compare_all
from headrace.contracts.authoring.editing import Edited
from headrace.contracts.authoring.open_questions import PROPOSED, Undecided, undecided
from headrace.contracts.drift import Baseline, DriftFinding
from headrace.contracts.evolution.compatibility import next_version
from headrace.contracts.load import parse_contract
from headrace.contracts.model import RESERVED
from headrace.core.declarations.strict_yaml import parse_document
from headrace.core.errors import DeclarationError
from headrace.scaffold.contract import column_lines
from headrace.scaffold.inspection.file_inspection import InspectedColumn, typed_columns
from headrace.scaffold.proposal.faults import faults
from headrace.scaffold.proposal.observations import observe
from headrace.scaffold.proposal.published import meaning_changes
from headrace.scaffold.proposal.renames import Rename, find_renames
from headrace.scaffold.proposal.steps import (
    RevisionStep,
    with_alias,
    with_column,
    with_custom,
    without_column,
)
from headrace.sources.rows import RawRows


@dataclass(frozen=True)
class Proposal:
    """Proposed next version of a contract.

    Attributes:
        before: the current contract.
        after: the proposed contract; None if the data require no change.
        text: its YAML.
        comparisons: comparisons with the current version, then with all others in use.
        steps: the changes in the data; those without an edit are left to a person.
        undecided: its open questions.
        faults: descriptions of data rows that break it.
    """

    before: Contract
    after: Contract | None
    text: str
    comparisons: tuple[ContractComparison, ...]
    steps: tuple[RevisionStep, ...]
    undecided: tuple[Undecided, ...]
    faults: tuple[str, ...]

    @property
    def level(self) -> Level:
        return max((comparison.level for comparison in self.comparisons), default=Level.NONE)

    @property
    def breaks(self) -> tuple[str, ...]:
        """Consumers of any version in use that the proposal would break."""
        return tuple(
            dict.fromkeys(chain.from_iterable(comparison.breaks for comparison in self.comparisons))
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "table": self.before.table,
            "before": self.before.version,
            "version": None if self.after is None else self.after.version,
            "level": self.level.name,
            "breaks": list(self.breaks),
            "conforms": not self.faults,
            "faults": list(self.faults),
            "steps": [step.as_json() for step in self.steps],
            "undecided": [vars(question) for question in self.undecided],
            "comparisons": [comparison.as_json() for comparison in self.comparisons],
            "contract": None if self.after is None else self.text,
        }


def revise(
    contract: Contract,
    rows: RawRows,
    *,
    text: str,
    beside: Sequence[Contract] = (),
    used_ids: Iterable[int] = (),
    before: pa.Table | None = None,
    reference: Baseline | None = None,
) -> Proposal:
    """Propose the next version of `contract` for new data of its source.

    Args:
        contract: the current version.
        rows: the new data as columns of text, read with the contract's null tokens.
        text: the contract's YAML.
        beside: earlier versions of the table's contract that still have a file.
        used_ids: other field ids that the table has ever used.
        before: earlier rows, typed by the contract, to find renamed columns by content.
        reference: the baseline of earlier batches, to find semantic changes.
    """
    ids = _free_ids([contract, *beside], used_ids)
    past = _Past(before, *meaning_changes(contract, rows, reference or Baseline()))
    steps = [*_steps(contract, rows, past, ids)]
    edited, steps = _applied(text, contract, steps)
    if edited == text:
        return Proposal(contract, None, text, (), tuple(steps), (), faults(contract, rows))
    return _versioned(contract, edited, beside, tuple(steps), rows)


def _free_ids(versions: Sequence[Contract], used: Iterable[int]) -> Iterator[int]:
    """Return an iterator over field ids that no version has ever used."""
    ids = [*used, *chain.from_iterable(version.retired_ids for version in versions)]
    ids += [field.id for version in versions for field in version.columns if field.id is not None]
    return count(max(ids) + 1)


@dataclass(frozen=True)
class _Past:
    """Earlier rows, and the results of comparing the new rows with the baseline."""

    rows: pa.Table | None
    renamed: Mapping[str, str]
    findings: list[DriftFinding]


def _steps(
    contract: Contract, rows: RawRows, past: _Past, ids: Iterator[int]
) -> Iterator[RevisionStep]:
    table = rows.table
    headers = {field.name: _header(field, rows.columns) for field in contract.delivered}
    declared_names = {name for field in contract.delivered for name in (field.name, *field.aliases)}
    new = [header for header in rows.columns if header not in declared_names]
    vanished = [field for field in contract.delivered if headers[field.name] is None]
    sought = [field for field in vanished if not field.may_be_absent]
    renamed, maybe = find_renames(contract, sought, new, table, past.rows)
    renamed, maybe = _with_profiles(renamed, maybe, past.renamed)
    used = {pair.header for pair in renamed}
    added = [header for header in new if header not in used]
    yield from _added(contract, table.select(added), ids)
    for pair in renamed:
        field = contract.field(pair.field)
        yield RevisionStep(
            field.name, "renamed", _rename_words(pair), with_alias(field, pair.header)
        )
        headers[field.name] = pair.header
    for pair in maybe:
        yield RevisionStep(
            pair.field,
            "rows",
            f"may be {_rename_words(pair)}; if so, make {pair.header!r} an alias",
        )
    for finding in past.findings:
        yield RevisionStep(
            ", ".join(finding.columns),
            "meaning",
            f"{finding.sentence} If that is right, change the contract.",
        )
    for field in contract.delivered:
        header = headers[field.name]
        if header is not None:
            text = table[header].combine_chunks()
            yield from observe(field, pc.cast(text, pa.string()))
        elif not field.may_be_absent:
            yield _missing_column(field)


def _with_profiles(
    likely: list[Rename], maybe: list[Rename], renames: Mapping[str, str]
) -> tuple[list[Rename], list[Rename]]:
    """Add the renames found by drift detection; they override those found in the rows alone."""
    why = "its values resemble those of all earlier batches"
    certain = [Rename(old, new, 1.0, why) for old, new in renames.items()]
    used = {name for pair in certain for name in (pair.field, pair.header)}
    rest = [[p for p in side if not {p.field, p.header} & used] for side in (likely, maybe)]
    return [*certain, *rest[0]], rest[1]


def _header(field: Field, columns: Sequence[str]) -> str | None:
    return next((name for name in (field.name, *field.aliases) if name in columns), None)


def _rename_words(pair: Rename) -> str:
    return f"delivered as {pair.header!r}: {pair.why}"


def _missing_column(field: Field) -> RevisionStep:
    """Return the step for a missing column: drop it, allow its absence, or leave it to a person."""
    sentence = "the data do not contain it"
    last = RevisionStep(field.name, "rows", f"{sentence}, but the table requires it")
    absent = with_custom(field.name, mayBeAbsent=True)
    is_required = field.required or field.primary_key_position is not None
    optional_step = RevisionStep(
        field.name,
        "vanished",
        f"{sentence}, but others are derived from it: it becomes optional",
        absent,
    )
    return RevisionStep(
        field.name,
        "vanished",
        f"{sentence}: the column is removed",
        without_column(field),
        last if is_required else optional_step,
    )


def _added(contract: Contract, table: pa.Table, ids: Iterator[int]) -> Iterator[RevisionStep]:
    last = contract.delivered[-1].name
    used_names = {
        name.casefold() for column in contract.columns for name in (column.name, *column.aliases)
    }
    columns = typed_columns(table) if table.num_columns else ()
    free_columns = [(_free_name(column, used_names), next(ids)) for column in columns]
    for free, number in reversed(free_columns):  # each is inserted right after the current last one
        lines = column_lines(
            free,
            number,
            description=f"TODO: what {free.header} means.",
            unit="TODO" if free.type == "number" else None,
        )
        edit = with_column(last, lines)
        yield RevisionStep(free.name, "added", f"an undeclared column of type {free.type}", edit)


def _free_name(column: InspectedColumn, used_names: set[str]) -> InspectedColumn:
    name = column.name
    while name.casefold() in used_names or name in {reserved for reserved, _, _ in RESERVED}:
        name = f"{name}_given"
    used_names.add(name.casefold())
    return replace(column, name=name)


def _applied(
    text: str, contract: Contract, steps: Sequence[RevisionStep]
) -> tuple[str, list[RevisionStep]]:
    """Apply all edits that leave a loadable contract; return the text and the resulting steps."""
    draft = Edited(text)
    draft.set("status", to=PROPOSED)
    draft.set("version", to=contract.version)
    start, applied = draft.text, []
    for step in steps:
        edited_text, applied_step = _apply_step(draft.text, contract.path, step)
        draft = Edited(edited_text)
        applied.append(applied_step)
    return (text if draft.text == start else draft.text), applied


def _apply_step(text: str, path: Path, step: RevisionStep) -> tuple[str, RevisionStep]:
    if step.edit is None:
        return text, step
    draft = Edited(text)
    try:
        step.edit(draft)
        parse_contract(draft.text, path)
    except DeclarationError as error:
        if step.otherwise is not None:
            return _apply_step(text, path, step.otherwise)
        sentence = f"{step.text}, but the edited contract would be invalid: {error.what}"
        return text, RevisionStep(step.field, "rows", sentence)
    return draft.text, step


def _versioned(
    contract: Contract,
    text: str,
    beside: Sequence[Contract],
    steps: tuple[RevisionStep, ...],
    rows: RawRows,
) -> Proposal:
    """Return the proposal with the smallest version bump that the changes allow."""
    level = compare(contract, parse_contract(text, contract.path)).level
    draft = Edited(text)
    for bump in (candidate for candidate in Level if candidate >= level):
        draft.set("version", to=next_version(contract.version, bump))
        after = parse_contract(draft.text, contract.path)
        comparisons = (compare(contract, after), *compare_all(after, beside))
        if all(comparison.bumped for comparison in comparisons):
            break
    marks = undecided(parse_document(draft.text, contract.path))
    problems = faults(after, rows)
    return Proposal(contract, after, draft.text, comparisons, steps, tuple(marks), problems)

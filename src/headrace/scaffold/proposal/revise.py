"""The next version of a contract, for a source that changed: proposed, reasoned, never in force.

Each thing seen in the data is a step with an edit of the contract's text; an edit that leaves a
contract which does not load is taken back, and its step left to a person. The version goes up as
far as the table of rules demands, against the present version and every live one beside it.
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
from headrace.scaffold.inspection.file_inspection import Column, typed_columns
from headrace.scaffold.proposal.faults import faults
from headrace.scaffold.proposal.observations import observe
from headrace.scaffold.proposal.published import meaning_changes
from headrace.scaffold.proposal.renames import Rename, find_renames
from headrace.scaffold.proposal.steps import (
    Step,
    with_alias,
    with_column,
    with_custom,
    without_column,
)
from headrace.sources.rows import RawRows


@dataclass(frozen=True)
class Proposal:
    """The next version of `before`. `after` is None if the data ask for none.

    Attributes:
        before: the contract in force.
        after: the proposed one, as if it stood beside it.
        text: its YAML.
        comparisons: of it with the present version, then with every live one beside.
        steps: what was seen; those without an edit are for a person.
        undecided: what it leaves to a person.
        faults: rows of the data that do not fit it, in words.
    """

    before: Contract
    after: Contract | None
    text: str
    comparisons: tuple[ContractComparison, ...]
    steps: tuple[Step, ...]
    undecided: tuple[Undecided, ...]
    faults: tuple[str, ...]

    @property
    def level(self) -> Level:
        return max((comparison.level for comparison in self.comparisons), default=Level.NONE)

    @property
    def breaks(self) -> tuple[str, ...]:
        """The consumers of any live version that it would break."""
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
            "undecided": [vars(one) for one in self.undecided],
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
    """What `rows`, new data of the source of `contract`, ask of its next version.

    Args:
        contract: the version in force.
        rows: columns of text, read with its null tokens.
        text: its YAML.
        beside: earlier versions of the table that are on file.
        used_ids: further field ids that the table ever had.
        before: earlier rows, as the contract types them: they tell renamed columns by content.
        reference: the profiles of earlier batches: they tell changes of meaning by name.
    """
    ids = _free_ids([contract, *beside], used_ids)
    past = _Past(before, *meaning_changes(contract, rows, reference or Baseline()))
    steps = [*_steps(contract, rows, past, ids)]
    edited, steps = _applied(text, contract, steps)
    if edited == text:
        return Proposal(contract, None, text, (), tuple(steps), (), faults(contract, rows))
    return _versioned(contract, edited, beside, tuple(steps), rows)


def _free_ids(versions: Sequence[Contract], used: Iterable[int]) -> Iterator[int]:
    """Field ids that no version ever had."""
    had = [*used, *chain.from_iterable(version.retired_ids for version in versions)]
    had += [field.id for version in versions for field in version.columns if field.id is not None]
    return count(max(had) + 1)


@dataclass(frozen=True)
class _Past:
    """Earlier rows, and what the profiles of earlier batches say of the new ones."""

    rows: pa.Table | None
    renamed: Mapping[str, str]
    findings: list[DriftFinding]


def _steps(contract: Contract, rows: RawRows, past: _Past, ids: Iterator[int]) -> Iterator[Step]:
    table = rows.table
    found = {field.name: _header(field, rows.columns) for field in contract.delivered}
    known = {name for field in contract.delivered for name in (field.name, *field.aliases)}
    new = [header for header in rows.columns if header not in known]
    vanished = [one for one in contract.delivered if found[one.name] is None]
    sought = [one for one in vanished if not one.may_be_absent]
    renamed, maybe = find_renames(contract, sought, new, table, past.rows)
    renamed, maybe = _with_profiles(renamed, maybe, past.renamed)
    taken = {pair.header for pair in renamed}
    added = [header for header in new if header not in taken]
    yield from _added(contract, table.select(added), ids)
    for pair in renamed:
        field = contract.field(pair.field)
        yield Step(field.name, "renamed", _says(pair), with_alias(field, pair.header))
        found[field.name] = pair.header
    for pair in maybe:
        yield Step(
            pair.field, "rows", f"may be {_says(pair)}; if so, make {pair.header!r} an alias"
        )
    for one in past.findings:
        yield Step(
            ", ".join(one.columns), "meaning", f"{one.sentence} If so, say it in the contract."
        )
    for field in contract.delivered:
        header = found[field.name]
        if header is not None:
            text = table[header].combine_chunks()
            yield from observe(field, pc.cast(text, pa.string()))
        elif not field.may_be_absent:
            yield _gone(field)


def _with_profiles(
    likely: list[Rename], maybe: list[Rename], known: Mapping[str, str]
) -> tuple[list[Rename], list[Rename]]:
    """Profiles of many batches know better than a look at one."""
    why = "its values are like those of all batches before"
    told = [Rename(old, new, 1.0, why) for old, new in known.items()]
    taken = {name for pair in told for name in (pair.field, pair.header)}
    rest = [[p for p in side if not {p.field, p.header} & taken] for side in (likely, maybe)]
    return [*told, *rest[0]], rest[1]


def _header(field: Field, columns: Sequence[str]) -> str | None:
    return next((name for name in (field.name, *field.aliases) if name in columns), None)


def _says(pair: Rename) -> str:
    return f"delivered as {pair.header!r}: {pair.why}"


def _gone(field: Field) -> Step:
    """Dropped, or kept as absent where something hangs on it, or left to a person."""
    says = "the data lack it"
    last = Step(field.name, "rows", f"{says}, and the table cannot do without it")
    absent = with_custom(field.name, mayBeAbsent=True)
    keeps = field.required or field.primary_key_position is not None
    kept = Step(field.name, "vanished", f"{says}; others are derived from it: null for now", absent)
    return Step(
        field.name,
        "vanished",
        f"{says}: it is gone",
        without_column(field),
        last if keeps else kept,
    )


def _added(contract: Contract, table: pa.Table, ids: Iterator[int]) -> Iterator[Step]:
    last = contract.delivered[-1].name
    taken = {
        name.casefold() for column in contract.columns for name in (column.name, *column.aliases)
    }
    columns = typed_columns(table) if table.num_columns else ()
    named = [(_free_name(column, taken), next(ids)) for column in columns]
    for free, number in reversed(named):  # each goes right after the last of now
        lines = column_lines(
            free,
            number,
            about=f"TODO: what {free.header} means.",
            unit="TODO" if free.type == "number" else None,
        )
        edit = with_column(last, lines)
        yield Step(free.name, "added", f"a column that is not declared, a {free.type}", edit)


def _free_name(column: Column, taken: set[str]) -> Column:
    name = column.name
    while name.casefold() in taken or name in {one for one, _, _ in RESERVED}:
        name = f"{name}_given"
    taken.add(name.casefold())
    return replace(column, name=name)


def _applied(text: str, contract: Contract, steps: Sequence[Step]) -> tuple[str, list[Step]]:
    """The text after every edit that leaves a contract, and the steps as they were taken."""
    draft = Edited(text)
    draft.set("status", to=PROPOSED)
    draft.set("version", to=contract.version)
    start, taken = draft.text, []
    for step in steps:
        made, done = _tried(draft.text, contract.path, step)
        draft = Edited(made)
        taken.append(done)
    return (text if draft.text == start else draft.text), taken


def _tried(text: str, path: Path, step: Step) -> tuple[str, Step]:
    if step.edit is None:
        return text, step
    draft = Edited(text)
    try:
        step.edit(draft)
        parse_contract(draft.text, path)
    except DeclarationError as error:
        if step.otherwise is not None:
            return _tried(text, path, step.otherwise)
        left = f"{step.text}, which the contract cannot follow: {error.what}"
        return text, Step(step.field, "rows", left)
    return draft.text, step


def _versioned(
    contract: Contract,
    text: str,
    beside: Sequence[Contract],
    steps: tuple[Step, ...],
    rows: RawRows,
) -> Proposal:
    """The smallest version that tells every change to everybody."""
    level = compare(contract, parse_contract(text, contract.path)).level
    draft = Edited(text)
    for wanted in (one for one in Level if one >= level):
        draft.set("version", to=next_version(contract.version, wanted))
        after = parse_contract(draft.text, contract.path)
        comparisons = (compare(contract, after), *compare_all(after, beside))
        if all(comparison.bumped for comparison in comparisons):
            break
    marks = undecided(parse_document(draft.text, contract.path))
    left = faults(after, rows)
    return Proposal(contract, after, draft.text, comparisons, steps, tuple(marks), left)

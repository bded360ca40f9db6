"""Whether the contracts of a project may follow those of an earlier state of it.

A contract is a file of its own for each table and version; the earlier versions that still have
consumers stand beside the present one, each with the consumers that have not moved. The present
one is held against its own earlier state and against every live earlier version, since small steps
add up. Proposed contracts bind nobody yet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, TypeAlias

from headrace.contracts.authoring.open_questions import PROPOSED
from headrace.contracts.evolution.compatibility import (
    Comparison,
    Level,
    compare,
    compare_all,
    next_version,
)
from headrace.contracts.load import load_contract
from headrace.contracts.model import Contract
from headrace.core.errors import DeclarationError

# (path, contract) of one table, the latest version first.
Versions: TypeAlias = list[tuple[str, Contract]]


@dataclass(frozen=True)
class Checked:
    """One table: its comparisons, the gravest first. `problem` is empty if it may follow."""

    table: str
    path: str
    comparisons: tuple[Comparison, ...]
    problem: str = ""
    fix: str = ""
    bereft: tuple[str, ...] = ()  # consumers of a contract that is gone

    @property
    def level(self) -> Level:
        return max((comparison.level for comparison in self.comparisons), default=Level.NONE)

    @property
    def breaks(self) -> tuple[str, ...]:
        """The consumers that the change breaks, whatever the version says."""
        broken = (comparison.breaks for comparison in self.comparisons)
        return tuple(dict.fromkeys(chain(self.bereft, *broken)))

    def as_json(self) -> dict[str, Any]:
        return {
            "table": self.table,
            "path": self.path,
            "level": self.level.name,
            "ok": not self.problem,
            "problem": self.problem,
            "fix": self.fix,
            "breaks": list(self.breaks),
            "comparisons": [comparison.as_json() for comparison in self.comparisons],
        }


def contract_files(root: Path) -> dict[str, Path]:
    """{path from the project's folder: file} of all contracts of all pipelines."""
    found = sorted(root.glob("pipelines/*/contracts/*.yaml"))
    return {path.relative_to(root).as_posix(): path for path in found}


def versions_of(table: str, files: Mapping[str, Path]) -> list[Contract]:
    """The versions of a table that are more than proposed, the latest first.

    Args:
        table: its name, or the file of the contract that counts as the latest.
        files: the contracts of the project, as `contract_files` gives them.

    Raises:
        DeclarationError: there is none.
    """
    chosen = Path(table)
    latest = load_contract(chosen) if chosen.is_file() else None
    loaded = {name: load_contract(path) for name, path in files.items()}
    found = [one for _, one in _versions(loaded, latest.table if latest else table)]
    if latest is not None:
        return [latest, *(one for one in found if _number(one) < _number(latest))]
    if not found or found[0].status == PROPOSED:
        names = ", ".join(sorted({one.table for one in loaded.values()})) or "none"
        raise DeclarationError(
            f"there is no contract of {table!r}",
            where=f"tables that have one: {names}",
            fix="name one of them or its file, or leave it out to draft the first: --data FILE",
        )
    return found


def check(now: Mapping[str, Path], then: Mapping[str, Path]) -> list[Checked]:
    """Every table of either state: the greatest version of now against all of then.

    Raises:
        DeclarationError: a contract of either state does not load.
    """
    present = {name: load_contract(path) for name, path in now.items()}
    past = {name: load_contract(path) for name, path in then.items()}
    return [
        _checked(table, _versions(present, table), _versions(past, table))
        for table in dict.fromkeys(one.table for one in chain(present.values(), past.values()))
    ]


def _versions(contracts: Mapping[str, Contract], table: str) -> Versions:
    """Proposals bind nobody, and count only where there is nothing else."""
    found = [(name, one) for name, one in contracts.items() if one.table == table]
    found.sort(key=lambda pair: _number(pair[1]), reverse=True)
    return [pair for pair in found if pair[1].status != PROPOSED] or found


def _number(contract: Contract) -> tuple[int, ...]:
    return tuple(map(int, contract.version.split(".")))


def _checked(table: str, now: Versions, then: Versions) -> Checked:
    if not now:
        return _gone(table, *then[0])
    (path, candidate), *beside = now
    before = [one for _, one in then]
    others = {one.hash: one for one in (*before[1:], *(one for _, one in beside))}
    for one in before[:1]:  # its own earlier state counts with or without consumers
        others.pop(one.hash, None)
    comparisons = [
        *(compare(one, candidate) for one in before[:1]),
        *compare_all(candidate, others.values()),
    ]
    comparisons.sort(key=lambda one: (one.bumped, -one.level))
    found = Checked(table, path, tuple(comparisons))
    for rule in (_short, _twice, _rewritten, _dropped, _reused, _forgotten, _stalled):
        wrong = rule(found, now, before)
        if wrong is not None:
            return wrong
    return found


def _gone(table: str, path: str, contract: Contract) -> Checked:
    if not contract.consumers or contract.status == "retired":
        return Checked(table, path, ())
    return Checked(
        table, path, (), "the contract is gone, and it has consumers",
        "keep it, or first retire it: status: retired, and a new MAJOR version",
        contract.consumers,
    )  # fmt: skip


def _short(found: Checked, now: Versions, _: list[Contract]) -> Checked | None:
    """The version goes up by less than a change demands, against whichever version."""
    short = next((comparison for comparison in found.comparisons if not comparison.bumped), None)
    if short is None:
        return None
    level, version = short.level, short.before.version
    return replace(
        found,
        problem=f"a {level.name} change against {version}, but the version is {now[0][1].version}",
        fix=f"write version: {next_version(version, level)}, or undo the change",
    )


def _twice(found: Checked, now: Versions, _: list[Contract]) -> Checked | None:
    for (path, one), (other, two) in pairwise(now):
        if one.version == two.version:
            return replace(
                found,
                problem=f"version {one.version} is there twice, in {path} and {other}",
                fix="keep one of them, or give the other its own version",
            )
    return None


def _rewritten(found: Checked, now: Versions, before: list[Contract]) -> Checked | None:
    """An earlier version stays what it was, but for words and consumers."""
    past = {one.version: one for one in before}
    for path, one in now[1:]:
        if one.version in past and compare(past[one.version], one).level > Level.PATCH:
            return replace(
                found,
                problem=f"version {one.version}, an earlier one, was changed in {path}",
                fix="undo that; what changes is a new version",
            )
    return None


def _dropped(found: Checked, now: Versions, before: list[Contract]) -> Checked | None:
    """A version beside the latest is taken away while somebody has not moved."""
    kept = {one.version for _, one in now}
    moved = {name for _, one in now for name in one.consumers}
    for one in before[1:]:
        left = tuple(name for name in one.consumers if name not in moved)
        if one.version not in kept and left and one.status != "retired":
            return replace(
                found,
                problem=f"version {one.version} is gone, and {', '.join(left)} still use it",
                fix="keep its file, or name them under the version that they have moved to",
                bereft=left,
            )
    return None


def _reused(found: Checked, now: Versions, before: list[Contract]) -> Checked | None:
    """A field id that was another column's: files of then would be read as this one."""
    candidate = now[0][1]
    ids = {field.id: field.name for field in candidate.fields}
    for other in (*before, *(one for _, one in now[1:])):
        again = next((number for number in other.retired_ids if number in ids), None)
        if again is not None:
            return replace(
                found,
                problem=f"{ids[again]!r} takes field id {again}, which {other.version} had retired",
                fix="give it a number that was never used",
            )
    return None


def _forgotten(found: Checked, now: Versions, before: list[Contract]) -> Checked | None:
    """Field ids of columns that are gone, and not said to be."""
    candidate = now[0][1]
    known = {field.id for field in candidate.fields} | set(candidate.retired_ids)
    earlier = (*before[:1], *(one for _, one in now[1:]))
    had = {number for one in earlier for number in one.retired_ids}
    had |= {field.id for one in earlier for field in one.fields if field.id is not None}
    lost = sorted(had - known)
    if not lost:
        return None
    retired = sorted({*lost, *candidate.retired_ids})
    return replace(
        found,
        problem=f"field ids of columns that are gone are not retired: {', '.join(map(str, lost))}",
        fix=f"add to the table: {{property: retiredFieldIds, value: {retired}}}",
    )


def _stalled(found: Checked, now: Versions, before: list[Contract]) -> Checked | None:
    """A proposal in the place of what was in force: nothing more would be published."""
    if now[0][1].status != PROPOSED or not before or before[0].status == PROPOSED:
        return None
    return replace(
        found,
        problem="it is only proposed, and nothing would be published any more",
        fix="write status: active when all is decided, or put the proposal beside the one in force",
    )

"""Whether the contracts of a project may follow those of an earlier state of it.

A contract is a file of its own for each table and version; the earlier versions that still have
consumers stand beside the present one. The present one is held against its own earlier state and
against every live earlier version, since small steps add up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

from headrace.contracts.compatibility import (
    Comparison,
    Level,
    compare,
    compare_all,
    next_version,
)
from headrace.contracts.load import load_contract
from headrace.contracts.model import Contract

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
        return max((one.level for one in self.comparisons), default=Level.NONE)

    @property
    def breaks(self) -> tuple[str, ...]:
        """The consumers that the change breaks, whatever the version says."""
        broken = (one.breaks for one in self.comparisons)
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
            "comparisons": [one.as_json() for one in self.comparisons],
        }


def contract_files(root: Path) -> dict[str, Path]:
    """{path from the project's folder: file} of all contracts of all pipelines."""
    found = sorted(root.glob("pipelines/*/contracts/*.yaml"))
    return {path.relative_to(root).as_posix(): path for path in found}


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
    found = [(name, one) for name, one in contracts.items() if one.table == table]
    return sorted(found, key=lambda pair: _number(pair[1]), reverse=True)


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
    short = next((one for one in comparisons if not one.bumped), None)
    if short is None:
        return _rewritten(found, beside, before)
    level, version = short.level, short.before.version
    return replace(
        found,
        problem=f"a {level.name} change against {version}, but the version is {candidate.version}",
        fix=f"write version: {next_version(version, level)}, or undo the change",
    )


def _gone(table: str, path: str, contract: Contract) -> Checked:
    if not contract.consumers or contract.status == "retired":
        return Checked(table, path, ())
    return Checked(
        table, path, (), "the contract is gone, and it has consumers",
        "keep it, or first retire it: status: retired, and a new MAJOR version",
        contract.consumers,
    )  # fmt: skip


def _rewritten(found: Checked, beside: Versions, before: list[Contract]) -> Checked:
    """An earlier version stays what it was, but for words and consumers."""
    past = {one.version: one for one in before}
    for path, one in beside:
        if one.version in past and compare(past[one.version], one).level > Level.PATCH:
            return replace(
                found,
                problem=f"version {one.version}, an earlier one, was changed in {path}",
                fix="undo that; what changes is a new version",
            )
    return found

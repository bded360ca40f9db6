"""Check of a project's contracts against an earlier state of the project.

Each version of a table's contract has its own file. Earlier versions stay beside the current one
as long as they have consumers, and list the consumers that still use them. The current version is
compared with its own earlier state and with every earlier version in use, since small changes add
up. A proposed version is ignored, unless all versions of the table are proposed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, TypeAlias

from headrace.contracts.authoring.open_questions import PROPOSED
from headrace.contracts.evolution.compatibility import (
    ContractComparison,
    Level,
    compare,
    compare_all,
    next_version,
)
from headrace.contracts.load import load_contract
from headrace.contracts.model import Contract
from headrace.core.errors import DeclarationError

# (path, contract) of each version of one table, latest first.
Versions: TypeAlias = list[tuple[str, Contract]]


@dataclass(frozen=True)
class TableCheck:
    """Check of one table.

    `comparisons` begins with those whose version bump is too small; within each group, the most
    severe come first. `problem` is empty if the check passed.
    """

    table: str
    path: str
    comparisons: tuple[ContractComparison, ...]
    problem: str = ""
    fix: str = ""
    bereft: tuple[str, ...] = ()  # consumers of a removed contract

    @property
    def level(self) -> Level:
        return max((comparison.level for comparison in self.comparisons), default=Level.NONE)

    @property
    def breaks(self) -> tuple[str, ...]:
        """Return the consumers that the change breaks, even if the version bump is right."""
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
    """Return {path relative to the project: file} of all contracts of all pipelines."""
    paths = sorted(root.glob("pipelines/*/contracts/*.yaml"))
    return {path.relative_to(root).as_posix(): path for path in paths}


def versions_of(table: str, files: Mapping[str, Path]) -> list[Contract]:
    """List the contract versions of a table, latest first, without proposed ones.

    Args:
        table: name of the table, or file of the contract that counts as its latest version.
        files: the contracts of the project, as `contract_files` returns them.

    Raises:
        DeclarationError: if the table has no contract, or only proposed ones.
    """
    path_ = Path(table)
    latest = load_contract(path_) if path_.is_file() else None
    loaded = {name: load_contract(path) for name, path in files.items()}
    versions = [contract for _, contract in _versions(loaded, latest.table if latest else table)]
    if latest is not None:
        return [latest, *(contract for contract in versions if _number(contract) < _number(latest))]
    if not versions or versions[0].status == PROPOSED:
        names = ", ".join(sorted({contract.table for contract in loaded.values()})) or "none"
        raise DeclarationError(
            f"there is no contract of {table!r}",
            where=f"tables that have one: {names}",
            fix="name one of them or its file; to draft the first contract of a table: "
            "headrace contract propose --data FILE",
        )
    return versions


def check(now: Mapping[str, Path], then: Mapping[str, Path]) -> list[TableCheck]:
    """Check every table: compare its latest version in `now` with all its versions in `then`.

    Raises:
        DeclarationError: if a contract of either state does not load.
    """
    present = {name: load_contract(path) for name, path in now.items()}
    past = {name: load_contract(path) for name, path in then.items()}
    return [
        _checked(table, _versions(present, table), _versions(past, table))
        for table in dict.fromkeys(
            contract.table for contract in chain(present.values(), past.values())
        )
    ]


def _versions(contracts: Mapping[str, Contract], table: str) -> Versions:
    """Return the versions of a table, latest first; proposed ones only if there are no others."""
    versions = [(name, contract) for name, contract in contracts.items() if contract.table == table]
    versions.sort(key=lambda pair: _number(pair[1]), reverse=True)
    return [pair for pair in versions if pair[1].status != PROPOSED] or versions


def _number(contract: Contract) -> tuple[int, ...]:
    return tuple(map(int, contract.version.split(".")))


def _checked(table: str, now: Versions, then: Versions) -> TableCheck:
    if not now:
        return _removed(table, *then[0])
    (path, candidate), *beside = now
    before = [contract for _, contract in then]
    earlier = {
        contract.hash: contract for contract in (*before[1:], *(contract for _, contract in beside))
    }
    for contract in before[:1]:  # compared below, even if it has no consumers
        earlier.pop(contract.hash, None)
    comparisons = [
        *(compare(contract, candidate) for contract in before[:1]),
        *compare_all(candidate, earlier.values()),
    ]
    comparisons.sort(key=lambda comparison: (comparison.bumped, -comparison.level))
    result = TableCheck(table, path, tuple(comparisons))
    for rule in (
        _small_bump,
        _duplicate_version,
        _changed_version,
        _dropped_version,
        _reused_field_id,
        _unretired_field_ids,
        _stalled_proposal,
    ):
        wrong = rule(result, now, before)
        if wrong is not None:
            return wrong
    return result


def _removed(table: str, path: str, contract: Contract) -> TableCheck:
    if not contract.consumers or contract.status == "retired":
        return TableCheck(table, path, ())
    return TableCheck(
        table, path, (), "the contract was removed, but it still has consumers",
        "keep it, or first retire it: status: retired, and a new MAJOR version",
        contract.consumers,
    )  # fmt: skip


def _small_bump(result: TableCheck, now: Versions, _: list[Contract]) -> TableCheck | None:
    """Report a version bump smaller than the changes require."""
    short = next((comparison for comparison in result.comparisons if not comparison.bumped), None)
    if short is None:
        return None
    level, version = short.level, short.before.version
    return replace(
        result,
        problem=f"a {level.name} change against {version}, but the version is {now[0][1].version}",
        fix=f"write version: {next_version(version, level)}, or undo the change",
    )


def _duplicate_version(result: TableCheck, now: Versions, _: list[Contract]) -> TableCheck | None:
    for (path, first), (other, second) in pairwise(now):
        if first.version == second.version:
            return replace(
                result,
                problem=f"version {first.version} is in two files, {path} and {other}",
                fix="keep one of them, or give the other its own version",
            )
    return None


def _changed_version(
    result: TableCheck, now: Versions, before: list[Contract]
) -> TableCheck | None:
    """Report a changed earlier version; PATCH changes, such as of prose, are allowed."""
    past = {contract.version: contract for contract in before}
    for path, contract in now[1:]:
        if (
            contract.version in past
            and compare(past[contract.version], contract).level > Level.PATCH
        ):
            return replace(
                result,
                problem=f"the earlier version {contract.version} was changed in {path}",
                fix="undo the change, or make it in a new version",
            )
    return None


def _dropped_version(
    result: TableCheck, now: Versions, before: list[Contract]
) -> TableCheck | None:
    """Report a removed earlier version that still has consumers."""
    present = {contract.version for _, contract in now}
    moved_consumers = {name for _, contract in now for name in contract.consumers}
    for contract in before[1:]:
        remaining = tuple(name for name in contract.consumers if name not in moved_consumers)
        if contract.version not in present and remaining and contract.status != "retired":
            return replace(
                result,
                problem=f"{', '.join(remaining)} still use the removed version {contract.version}",
                fix="keep its file, or list them under the version that they have moved to",
                bereft=remaining,
            )
    return None


def _reused_field_id(
    result: TableCheck, now: Versions, before: list[Contract]
) -> TableCheck | None:
    """Report a reused field id: readers would read an old column's data as the new column."""
    candidate = now[0][1]
    ids = {field.id: field.name for field in candidate.fields}
    for other in (*before, *(contract for _, contract in now[1:])):
        reused_id = next((number for number in other.retired_ids if number in ids), None)
        if reused_id is not None:
            return replace(
                result,
                problem=f"{ids[reused_id]!r} uses field id {reused_id}, retired in {other.version}",
                fix="give it a number that was never used",
            )
    return None


def _unretired_field_ids(
    result: TableCheck, now: Versions, before: list[Contract]
) -> TableCheck | None:
    """Report removed columns whose field ids are not declared as retired."""
    candidate = now[0][1]
    declared = {field.id for field in candidate.fields} | set(candidate.retired_ids)
    earlier = (*before[:1], *(contract for _, contract in now[1:]))
    used = {number for contract in earlier for number in contract.retired_ids}
    used |= {field.id for contract in earlier for field in contract.fields if field.id is not None}
    undeclared = sorted(used - declared)
    if not undeclared:
        return None
    retired = sorted({*undeclared, *candidate.retired_ids})
    return replace(
        result,
        problem=f"field ids of removed columns are not retired: {', '.join(map(str, undeclared))}",
        fix=f"add to the table: {{property: retiredFieldIds, value: {retired}}}",
    )


def _stalled_proposal(
    result: TableCheck, now: Versions, before: list[Contract]
) -> TableCheck | None:
    """Report a proposed version in place of an active one: publishing would stop."""
    if now[0][1].status != PROPOSED or not before or before[0].status == PROPOSED:
        return None
    return replace(
        result,
        problem="the latest version is only proposed, so nothing more would be published",
        fix="write status: active once approved, or put the proposal beside the active contract",
    )

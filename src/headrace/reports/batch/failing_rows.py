"""Failing rows of a batch, merged from the samples of the checks in its validation result."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.gates.verdict import Judgement, Result
from headrace.reports.batch.model import FailingRow, FailingRows

MAX_ROWS = 12


@dataclass
class _Row:
    line: int | None
    key: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    checks: list[str] = field(default_factory=list)


def failing_rows(
    judgement: Judgement, command: str, keys: Sequence[str] = ()
) -> FailingRows | None:
    """Return up to `MAX_ROWS` failing rows: those that fail the most checks first.

    A validation result has at most twenty rows per check; `command` lists all failing rows. Key
    columns with the same value in all rows are returned separately, in the contract's order.
    """
    merged: dict[object, _Row] = {}
    for result in judgement.failed:
        for sample in result.sample:
            _add(merged, result, sample)
    first_rows = sorted(merged.values(), key=lambda row: -len(row.checks))[:MAX_ROWS]
    if not first_rows:
        return None
    shared = _shared(first_rows, keys)
    rows = tuple(_row(row, keys, shared) for row in first_rows)
    common = tuple((name, shared[name]) for name in _ordered(shared, keys))
    return FailingRows(rows, _total(judgement, len(merged)), command, common)


def _row(row: _Row, keys: Sequence[str], shared: Mapping[str, Any]) -> FailingRow:
    names = [name for name in _ordered(row.key, keys) if name not in shared]
    key = tuple((name, row.key[name]) for name in names)
    return FailingRow(row.line, key, tuple(row.values.items()), tuple(row.checks))


def _ordered(names: Iterable[str], keys: Sequence[str]) -> list[str]:
    return sorted(names, key=lambda name: keys.index(name) if name in keys else len(keys))


def _shared(rows: Sequence[_Row], keys: Sequence[str]) -> dict[str, Any]:
    """Return the key columns with the same value in all rows; none if these are the entire key."""
    first, remaining = rows[0].key, rows[1:]
    shared = {n: v for n, v in first.items() if all(r.key.get(n, r) == v for r in remaining)}
    return shared if remaining and len(shared) < len(first) and set(first) <= set(keys) else {}


def _add(merged: dict[object, _Row], result: Result, sample: Mapping[str, Any]) -> None:
    line = sample.get("line")
    row_id: object = line if line is not None else (result.id, repr(sample))
    row = merged.setdefault(row_id, _Row(line))
    row.key |= dict(sample.get("key") or {})
    row.values |= dict(_values(sample))
    if result.id not in row.checks:
        row.checks.append(result.id)


def _values(sample: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield (column, value) pairs of a sampled row that explain its failure.

    For a contract violation this is the field with its value. For a conflict with an earlier row,
    the column's value is followed by that of the earlier row.
    """
    earlier = sample.get("earlier") or {}
    for name, value in (sample.get("values") or {}).items():
        yield name, value
        if name in earlier.get("values", {}):
            yield (
                f"{name} in batch {earlier['batch'][:12]}, line {earlier['line']}",
                earlier["values"][name],
            )
    if "got" in sample:
        yield str(sample.get("field") or "row"), sample["got"]


def _total(judgement: Judgement, merged_count: int) -> int:
    """Return a lower bound of the number of failing rows, since a row can fail several checks."""
    counts = [r.unexpected_count or 0 for r in judgement.failed if r.sample]
    return max(merged_count, judgement.quarantined_count, judgement.violation_count, *counts, 0)

"""The failing rows of a batch, one entry a row, from the samples that its judgement kept."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.gates.verdict import Judgement, Result
from headrace.reports.batch.model import FailingRow, FailingRows

SHOWN = 12


@dataclass
class _Row:
    line: int | None
    key: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    checks: list[str] = field(default_factory=list)


def failing_rows(
    judgement: Judgement, command: str, keys: Sequence[str] = ()
) -> FailingRows | None:
    """The first rows that some check holds against the batch, gravest check first.

    A judgement keeps twenty of each check; `command` gets all. What all of them share of their
    key, given in the contract's order, is told once.
    """
    merged: dict[object, _Row] = {}
    for result in judgement.failed:
        for sample in result.sample:
            _add(merged, result, sample)
    shown = sorted(merged.values(), key=lambda row: -len(row.checks))[:SHOWN]
    if not shown:
        return None
    shared = _shared(shown, keys)
    rows = tuple(_row(row, keys, shared) for row in shown)
    common = tuple((name, shared[name]) for name in _ordered(shared, keys))
    return FailingRows(rows, _total(judgement, len(merged)), command, common)


def _row(row: _Row, keys: Sequence[str], shared: Mapping[str, Any]) -> FailingRow:
    own = [name for name in _ordered(row.key, keys) if name not in shared]
    key = tuple((name, row.key[name]) for name in own)
    return FailingRow(row.line, key, tuple(row.values.items()), tuple(row.checks))


def _ordered(names: Iterable[str], keys: Sequence[str]) -> list[str]:
    return sorted(names, key=lambda name: keys.index(name) if name in keys else len(keys))


def _shared(rows: Sequence[_Row], keys: Sequence[str]) -> dict[str, Any]:
    """Parts of the key that are the same in all rows, if something is left to tell them apart."""
    first, others = rows[0].key, rows[1:]
    shared = {n: v for n, v in first.items() if all(r.key.get(n, r) == v for r in others)}
    return shared if others and len(shared) < len(first) and set(first) <= set(keys) else {}


def _add(merged: dict[object, _Row], result: Result, sample: Mapping[str, Any]) -> None:
    line = sample.get("line")
    known: object = line if line is not None else (result.id, repr(sample))
    row = merged.setdefault(known, _Row(line))
    row.key |= dict(sample.get("key") or {})
    row.values |= dict(_values(sample))
    if result.id not in row.checks:
        row.checks.append(result.id)


def _values(sample: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """A check's columns; of a broken contract the field, with what was found in it.

    Of a conflict both versions: each column that differs, and after it the earlier row's value.
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


def _total(judgement: Judgement, seen: int) -> int:
    """Rows that failed, as far as they were counted; a row that fails twice may count once."""
    counts = [r.unexpected_count or 0 for r in judgement.failed if r.sample]
    return max(seen, judgement.quarantined_count, judgement.violation_count, *counts, 0)

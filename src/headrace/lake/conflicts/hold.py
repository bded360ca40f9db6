"""Verdict on a batch with conflicts: rows are quarantined, or the batch is blocked.

The ledger stores this verdict under its own rule hash, in addition to the gate's verdict, which
does not consider other batches.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.contracts import Contract
from headrace.core.clock import now_us
from headrace.core.files import digest, move_into_place, temporary_beside
from headrace.core.home import Home
from headrace.gates import Judgement, Result
from headrace.gates.contract_units import scales_of
from headrace.gates.event_gate import RAW
from headrace.gates.failing_samples import SAMPLE, plain_values
from headrace.gates.judge import with_result
from headrace.gates.muted_checks import Mutes
from headrace.lake.conflicts.records import CONFLICT, Conflict
from headrace.lake.ingest.object_batches import rewritten
from headrace.lake.ingest.staging import quarantine, quarantine_path, staged_path
from headrace.lake.ledger.ledger import JudgementRow, Ledger
from headrace.lake.ledger.partition_state import PUBLISHABLE
from headrace.lake.tables.decimals import read_rows, to_integers
from headrace.lake.tables.lake import Lake
from headrace.sources.base import Delivery

Rows = Mapping[int, Mapping[str, Any]]  # by line


@dataclass(frozen=True)
class ConflictHold:
    """Gate verdict on a batch, to which conflicts are added.

    Attributes:
        gate: the verdict before the conflicts are added.
        report: the report of `gate`.
    """

    home: Home
    contract: Contract
    mutes: Mutes
    delivery: Delivery
    gate: JudgementRow
    report: Judgement

    @property
    def does(self) -> str:
        """Action on a conflict. Events are independent, so a conflict never blocks other events."""
        return "quarantine" if self.delivery.format == "events" else self.contract.conflicts

    def blocked_by(self, count: int) -> bool:
        """Return True if this number of held rows blocks the batch."""
        result = Result(id=CONFLICT, kind="contract", type=CONFLICT, action=self.does)
        return not self._with(replace(result, status="fail"), count).verdict.publishes

    def _with(self, result: Result, count: int) -> Judgement:
        extra = count if self.does == "quarantine" else 0
        return self.mutes.of(with_result(self.report, result, extra))

    def verdict(
        self, conflicts: Sequence[Conflict], source: Path, earlier: Mapping[str, Path]
    ) -> JudgementRow:
        """Return the verdict with these conflicts, after writing its files; idempotent.

        Args:
            conflicts: all conflicts of the batch, including those already recorded with `gate`.
            source: the staged file in which new conflicts were found.
            earlier: {batch: its file} of the batches that have the earlier rows.
        """
        gate, name = self.gate, self.contract.table
        rule, lines = _rule(gate, conflicts), [conflict.line for conflict in conflicts]
        rows, before = _rows(source, lines), _quarantined(gate)
        new = sum(line not in before for line in rows.column("_line").to_pylist())
        result = _result(self.contract, gate, conflicts, rows, earlier)
        judgement = self._with(replace(result, action=self.does), new)
        staged, quarantine_file, passing = "", gate.quarantine_path, gate.passing
        if self.does == "quarantine":
            passing -= _passing(gate, lines)
            quarantine_file = str(quarantine_path(self.home, name, gate.batch_id, rule))
            failed = self._quarantine_rows(rows, set(lines))
            quarantine(self.home, self.contract, gate.batch_id, rule, failed)
        if judgement.verdict.value in PUBLISHABLE and passing and gate.staged_path:
            target = staged_path(self.home, name, gate.batch_id, rule)
            _stage(Path(gate.staged_path), target, lines)
            staged = str(target)
        return replace(
            gate,
            rule_hash=rule,
            verdict=judgement.verdict.value,
            passing=passing,
            quarantined=judgement.quarantined_count,
            staged_path=staged,
            quarantine_path=quarantine_file,
            judged_at=max(now_us(), gate.judged_at + 1),
            summary=judgement.summary(),
            judgement=judgement.to_json(),
            published_at=None,
            snapshot_id=None,
            withdrawn_at=None,
        )

    def _quarantine_rows(self, rows: pa.Table, lines: Collection[int]) -> pa.Table:
        """Return the rows quarantined by the gate and the held rows, each with its reasons."""
        path = self.gate.quarantine_path
        before = read_rows(path) if path else None
        quarantined_lines = set() if before is None else set(before["_line"].to_pylist())
        new = [line not in quarantined_lines for line in rows["_line"].to_pylist()]
        rows = rows.filter(pa.array(new, pa.bool_()))
        reasons = [[CONFLICT]] * rows.num_rows
        rows = rows.append_column("_reasons", pa.array(reasons, pa.list_(pa.string())))
        if self.delivery.format == "events":
            texts = [line for line in self.delivery.payload.split(b"\n") if line.strip()]
            raw = [texts[n - 1].decode(errors="replace") for n in rows["_line"].to_pylist()]
            rows = rows.append_column(RAW, pa.array(raw, pa.string()))
        if before is None:
            return rows
        why = zip(before["_line"].to_pylist(), before["_reasons"].to_pylist(), strict=True)
        reasons = [[*w, CONFLICT] if n in lines and CONFLICT not in w else w for n, w in why]
        place = before.schema.names.index("_reasons")
        column = pa.array(reasons, pa.list_(pa.string()))
        before = before.set_column(place, "_reasons", column)
        return pa.concat_tables([before, rows.select(before.schema.names).cast(before.schema)])


def _rule(gate: JudgementRow, conflicts: Sequence[Conflict]) -> str:
    places = [[c.line, c.earlier_batch, c.earlier_line, c.after] for c in conflicts]
    return digest([CONFLICT, gate.rule_hash, places])[:16]


def _rows(path: Path, lines: Collection[int]) -> pa.Table:
    """Return the rows of a file on these lines, reading it piece by piece."""
    selected = np.array(sorted(lines), np.int64)
    with pq.ParquetFile(path) as file:
        pieces = [
            piece.filter(pa.array(np.isin(piece.column("_line").to_numpy(), selected)))
            for piece in file.iter_batches()
        ]
        return to_integers(pa.Table.from_batches(pieces, schema=file.schema_arrow))


def _quarantined(gate: JudgementRow) -> set[int]:
    if not gate.quarantine_path:
        return set()
    lines = pq.read_table(gate.quarantine_path, columns=["_line"])["_line"]
    return set(lines.to_pylist())


def _passing(gate: JudgementRow, lines: Collection[int]) -> int:
    """Count how many of these lines are in the gate's staged file."""
    return 0 if not gate.staged_path else _rows(Path(gate.staged_path), lines).num_rows


def _stage(path: Path, target: Path, lines: Sequence[int]) -> None:
    if target.exists():
        return  # a file with its final name is complete
    temporary = temporary_beside(target)
    rewritten(path, temporary, np.array(lines, np.int64))
    move_into_place(temporary, target)


def _result(
    contract: Contract,
    gate: JudgementRow,
    conflicts: Sequence[Conflict],
    rows: pa.Table,
    earlier: Mapping[str, Path],
) -> Result:
    sample = tuple(samples(contract, conflicts[:SAMPLE], by_line(rows), earlier))
    count = len(conflicts)
    what = "row has" if count == 1 else "rows have"
    sequence = f", {contract.sequence}" if contract.sequence else ""
    fix = "deliver the correction with a later known-at" + (
        f" or {contract.sequence}" if contract.sequence else " or sequence"
    )
    return Result(
        id=CONFLICT,
        kind="contract",
        type=CONFLICT,
        columns=tuple(dict.fromkeys(name for example in sample for name in example["values"])),
        status="fail",
        expected=f"one version of each key and known-at{sequence}",
        unexpected_count=count,
        element_count=gate.delivered,
        sample=sample,
        reason=f"{count} {what} the key and known-at{sequence} of an earlier row, and other"
        f" values{_first(sample)}; {fix}",
    )


def _first(sample: Sequence[Mapping[str, Any]]) -> str:
    """Return the first difference, as a part of a sentence."""
    for example in sample:
        for name, value in example["values"].items():
            before = example["earlier"]["values"].get(name)
            return f" (line {example['line']}: {name} {value!r}, before {before!r})"
    return ""


def samples(
    contract: Contract, conflicts: Sequence[Conflict], rows: Rows, earlier: Mapping[str, Path]
) -> Iterator[dict[str, Any]]:
    """Yield both versions of each row in conflict.

    Each item is {"line", "key", "values", "earlier": {"batch", "line", "values"}}; `values` has
    only the columns that differ, in the contract's units.
    """
    scales = scales_of(contract)
    before: dict[tuple[str, int], Mapping[str, Any]] = {}
    for batch in {conflict.earlier_batch for conflict in conflicts} & earlier.keys():
        earlier_lines = [c.earlier_line for c in conflicts if c.earlier_batch == batch]
        for line, row in by_line(_rows(earlier[batch], earlier_lines)).items():
            before[batch, line] = row
    for conflict in conflicts:
        row = rows.get(conflict.line, {})
        other = before.get((conflict.earlier_batch, conflict.earlier_line), {})
        names = [n for n in row if n[0] != "_" and n in other and row[n] != other[n]]
        yield {
            "line": conflict.line,
            "key": plain_values(row, [n for n in contract.primary_key if n in row], scales),
            "values": plain_values(row, names, scales),
            "earlier": {
                "batch": conflict.earlier_batch,
                "line": conflict.earlier_line,
                "values": plain_values(other, names, scales),
            },
        }


def earlier_paths(
    ledger: Ledger, home: Home, table: str, conflicts: Iterable[Conflict]
) -> dict[str, Path]:
    """Return {batch: file with its earlier rows}: the published file, or else the latest one."""
    batch_ids = {conflict.earlier_batch for conflict in conflicts}
    paths = {
        row.batch_id: Path(row.staged_path)
        for row in ledger.judgements(table).values()
        if row.batch_id in batch_ids and row.staged_path and Path(row.staged_path).exists()
    }
    live = Lake(home).live(table)
    return paths | {batch: Path(live[batch]) for batch in batch_ids & live.keys()}


def by_line(rows: pa.Table) -> dict[int, Mapping[str, Any]]:
    """Return the rows of a table by their line."""
    return {row["_line"]: row for row in rows.to_pylist()}

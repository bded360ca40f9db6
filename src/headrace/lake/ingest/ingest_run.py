"""State of one running ingest of one table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from headrace.core.clock import forward, now_us
from headrace.core.errors import SourceError
from headrace.core.home import Home
from headrace.lake.ingest.deduplication import without_repeats
from headrace.lake.ingest.staging import StagedFile
from headrace.lake.ledger.ledger import Batch, JudgementRow, Ledger
from headrace.lake.ledger.partition_state import (
    BLOCKED,
    SETTLED_STATES,
    Pick,
    SlotProgress,
    is_shown,
    pick,
)
from headrace.lake.ledger.row_counts import current_verdicts
from headrace.lake.overrides.audit_trail import actions
from headrace.lake.overrides.effective_verdict import Standing, lapsed, standings
from headrace.lake.table import Table
from headrace.lake.tables.lake import Lake


@dataclass
class Run:
    """State of one running ingest of one table.

    Attributes:
        compared: the published files with which the new rows were compared to find conflicts.
        barred: batches whose last good file must not be published again, because some of its rows
            are in conflict with other rows now.
    """

    table: Table
    home: Home
    ledger: Ledger
    lake: Lake
    rule: str
    total: int
    on_slot: Callable[[SlotProgress], None] | None
    errors: dict[str, SourceError] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    batches: dict[str, list[Batch]] = field(default_factory=dict)
    verdicts: dict[str, JudgementRow] = field(default_factory=dict)
    origins: dict[str, set[str]] = field(default_factory=dict)
    standings: dict[str, Standing] = field(default_factory=dict)
    lapsed: dict[str, JudgementRow | None] = field(default_factory=dict)
    live: dict[str, str] = field(default_factory=dict)
    visible: dict[str, list[str]] = field(default_factory=dict)
    to_revalidate: frozenset[str] = frozenset()
    stuck: dict[str, JudgementRow] = field(default_factory=dict)
    finished_slots: int = 0
    compared: frozenset[str] = frozenset()
    barred: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        forward(self.ledger.latest(), str(self.ledger.path), now_us)

    @property
    def name(self) -> str:
        return self.table.name

    def reload(self) -> None:
        """Read the ledger again: another run may have changed it meanwhile."""
        self.batches = {}
        for batch in self.ledger.batches(self.name).values():
            self.batches.setdefault(batch.slot, []).append(batch)
        self.standings = standings(self.ledger, self.name, self.rule, now_us())
        # Until a verdict with overrides is derived, the gate's own verdict applies.
        self.verdicts = {
            key: standing.row or standing.gate for key, standing in self.standings.items()
        }
        # A batch whose verdict could not be derived is not changed, and is reported as an error.
        self.verdicts |= self.stuck
        blocked = any(row.verdict in BLOCKED for row in self.verdicts.values())
        broken = self.table.suite.broken
        rows = self.ledger.judgements(self.name) if blocked or broken else {}
        if broken:
            # If the suite cannot be read, batches in the table keep their present verdict.
            before = current_verdicts(rows, self.live)
            self.verdicts |= {key: row for key, row in before.items() if is_shown(row, self.live)}
        self.lapsed = lapsed(rows.values(), self.verdicts, self.live)
        self.lapsed |= dict.fromkeys(self.barred & self.lapsed.keys())

    def pick(self, slot: str) -> Pick:
        visible = self.visible.get(slot, ())
        batches = self.batches.get(slot, [])
        picked = pick(batches, self.verdicts, self.live, visible, self.lapsed)
        return without_repeats(picked, batches, self.live, self.table.contract)

    def due(self, slot: str) -> list[Standing]:
        """Return the effective verdicts of the partition to which overrides must yet be applied."""
        open_ones = [b for b in self.batches.get(slot, []) if b.state not in SETTLED_STATES]
        open_standings = [
            self.standings[b.batch_id] for b in open_ones if b.batch_id in self.standings
        ]
        return [standing for standing in open_standings if standing.row is None]

    def moved_on(self, files: Sequence[StagedFile]) -> set[str]:
        """Return the batches whose file in `files` was made outdated by people's later actions."""
        if not actions(self.ledger, self.name):
            return set()
        now = standings(self.ledger, self.name, self.rule, now_us())
        expected_paths = {
            key: standing.row and standing.row.staged_path for key, standing in now.items()
        }
        expected_paths |= {
            key: good.staged_path for key, good in self.lapsed.items() if good is not None
        }
        return {
            f.batch_id
            for f in files
            if expected_paths.get(f.batch_id) != (str(f.path) if f.rows else "")
        }

    def batch(self, batch_id: str) -> Batch:
        return next(b for slot in self.batches.values() for b in slot if b.batch_id == batch_id)

    def slot_of(self, batch_id: str) -> str:
        return self.batch(batch_id).slot

    def batches_by_id(self, slot: str) -> dict[str, Batch]:
        return {batch.batch_id: batch for batch in self.batches.get(slot, [])}

"""One ingest of one table under way: what it works with, and what it knows so far."""

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
    """One ingest of one table: what it works with, and what it knows so far.

    Attributes:
        compared: the published files with which the rows to publish were compared for conflicts.
        barred: batches whose last good file must not come back: its rows are in conflict by now.
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
    judged: dict[str, JudgementRow] = field(default_factory=dict)
    origins: dict[str, set[str]] = field(default_factory=dict)
    standings: dict[str, Standing] = field(default_factory=dict)
    lapsed: dict[str, JudgementRow | None] = field(default_factory=dict)
    live: dict[str, str] = field(default_factory=dict)
    visible: dict[str, list[str]] = field(default_factory=dict)
    again: frozenset[str] = frozenset()
    stuck: dict[str, JudgementRow] = field(default_factory=dict)
    done: int = 0
    compared: frozenset[str] = frozenset()
    barred: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        forward(self.ledger.latest(), str(self.ledger.path), now_us)

    @property
    def name(self) -> str:
        return self.table.name

    def reload(self) -> None:
        """Read the ledger again: another run may have written meanwhile."""
        self.batches = {}
        for batch in self.ledger.batches(self.name).values():
            self.batches.setdefault(batch.slot, []).append(batch)
        self.standings = standings(self.ledger, self.name, self.rule, now_us())
        # Where the verdict is still to be derived, the gate's own stands meanwhile.
        self.judged = {key: one.row or one.gate for key, one in self.standings.items()}
        # What could not be derived stays as it is, and is shown as an error.
        self.judged |= self.stuck
        blocked = any(row.verdict in BLOCKED for row in self.judged.values())
        broken = self.table.suite.broken
        rows = self.ledger.judgements(self.name) if blocked or broken else {}
        if broken:
            # A suite that cannot be read says nothing against what was published before it broke.
            before = current_verdicts(rows, self.live)
            self.judged |= {key: row for key, row in before.items() if is_shown(row, self.live)}
        self.lapsed = lapsed(rows.values(), self.judged, self.live)
        self.lapsed |= dict.fromkeys(self.barred & self.lapsed.keys())

    def pick(self, slot: str) -> Pick:
        visible = self.visible.get(slot, ())
        batches = self.batches.get(slot, [])
        found = pick(batches, self.judged, self.live, visible, self.lapsed)
        return without_repeats(found, batches, self.live, self.table.contract)

    def due(self, slot: str) -> list[Standing]:
        """Standings of a slot's batches whose verdict is still to be derived."""
        open_ones = [b for b in self.batches.get(slot, []) if b.state not in SETTLED_STATES]
        found = [self.standings[b.batch_id] for b in open_ones if b.batch_id in self.standings]
        return [one for one in found if one.row is None]

    def moved_on(self, files: Sequence[StagedFile]) -> set[str]:
        """Batches for which the ledger meanwhile wants something else than these files."""
        if not actions(self.ledger, self.name):
            return set()
        now = standings(self.ledger, self.name, self.rule, now_us())
        wanted = {key: one.row and one.row.staged_path for key, one in now.items()}
        wanted |= {key: good.staged_path for key, good in self.lapsed.items() if good is not None}
        return {
            f.batch_id for f in files if wanted.get(f.batch_id) != (str(f.path) if f.rows else "")
        }

    def batch(self, batch_id: str) -> Batch:
        return next(b for slot in self.batches.values() for b in slot if b.batch_id == batch_id)

    def slot_of(self, batch_id: str) -> str:
        return self.batch(batch_id).slot

    def known(self, slot: str) -> dict[str, Batch]:
        return {batch.batch_id: batch for batch in self.batches.get(slot, [])}

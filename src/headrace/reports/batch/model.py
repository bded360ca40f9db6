"""All that a report says, as data: gathered in one place, shown in another.

Moments are int64 microseconds UTC.
"""

from dataclasses import dataclass
from typing import Any

from headrace.gates.compare import Comparison
from headrace.gates.verdict import Judgement, Result


@dataclass(frozen=True)
class Origin:
    """Where the batch came from. `origins` are the other names it was delivered under."""

    origin: str
    producer: str
    source: str
    format: str
    sha256: str
    bytes: int
    arrived_at: int
    received_at: int
    raw_path: str
    origins: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rules:
    """What the batch was judged by, and who answers for its data.

    Attributes:
        current: whether the table is judged by the same rules today.
        support: where to reach the owner: (channel, address or "").
    """

    owner: str
    suite: str
    suite_hash: str
    contract_version: str
    contract_hash: str
    rule_hash: str
    judged_at: int
    current: bool = True
    support: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class LastGood:
    """The batch before this one that the table shows."""

    batch_id: str
    slot: str
    rows: int
    published_at: int
    verdict: str


@dataclass(frozen=True)
class Reach:
    """What reads the table, along the pipeline's declaration.

    Attributes:
        views: (feature view, features in it).
        uses: what a dataset takes the table for, in words: "its spine", "its label".
        consumers: as the contract names them.
        released: dataset releases that hold this very batch, with the models trained on them.
    """

    table: str
    views: tuple[tuple[str, int], ...] = ()
    datasets: tuple[tuple[str, str], ...] = ()
    models: tuple[str, ...] = ()
    consumers: tuple[str, ...] = ()
    released: tuple[str, ...] = ()
    trained: tuple[str, ...] = ()


@dataclass(frozen=True)
class FailingRow:
    """A row with its key, some values and the ids of the checks it failed."""

    line: int | None
    key: tuple[tuple[str, Any], ...]
    values: tuple[tuple[str, Any], ...]
    checks: tuple[str, ...]


@dataclass(frozen=True)
class FailingRows:
    """The first of `total` failing rows; `command` gets all. `shared` is of every row's key."""

    rows: tuple[FailingRow, ...]
    total: int
    command: str
    shared: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class RuleHistory:
    """A check's verdicts over batches, oldest first, the last one this batch's."""

    check: str
    verdicts: tuple[str, ...]


@dataclass(frozen=True)
class History:
    """`slots` and `whole` (the batches' own verdicts) go with each rule's verdicts."""

    slots: tuple[str, ...]
    whole: tuple[str, ...]
    rules: tuple[RuleHistory, ...]


@dataclass(frozen=True)
class LogEntry:
    """Something that somebody did, or was refused."""

    at: int
    principal: str
    action: str
    scope: str
    reason: str
    expires_at: int | None = None
    allowed: bool = True
    note: str = ""


@dataclass(frozen=True)
class Step:
    """An action for the reader: in words, as a command, and as a page of Dagster that does it.

    `action` is its name where it acts on this batch, as `headrace gate` has it.
    """

    name: str
    does: str
    command: str
    url: str = ""
    action: str = ""


@dataclass(frozen=True)
class Report:
    """One batch of one table, for the person who is paged.

    Attributes:
        state: as in the ledger: pending, published, superseded, rejected, judged, received.
        note: why it is in that state, as recorded; successor: the batch that took its place.
        passing: rows that no check held against; of a blocked batch they wait with the others.
        compared_with: what `comparison` is held against; not_compared says why there is none.
        rendered_at: when the facts were gathered.
    """

    table: str
    slot: str
    batch_id: str
    state: str
    judgement: Judgement
    passing: int
    origin: Origin
    rules: Rules
    reach: Reach
    rendered_at: int
    published_at: int | None = None
    note: str = ""
    successor: str = ""
    last_good: LastGood | None = None
    corrects: bool = False
    rows: FailingRows | None = None
    comparison: Comparison | None = None
    not_compared: str = ""
    units: tuple[tuple[str, str], ...] = ()
    history: History | None = None
    log: tuple[LogEntry, ...] = ()
    steps: tuple[Step, ...] = ()

    @property
    def verdict(self) -> str:
        return self.judgement.verdict.value

    @property
    def held(self) -> bool:
        """Whether the batch waits for somebody to decide."""
        return self.state == "pending"

    @property
    def closed(self) -> bool:
        """Whether nothing of it is used, and nothing waits."""
        return self.state in {"superseded", "rejected", "recalled"}

    @property
    def overrides(self) -> tuple[Result, ...]:
        """What people did that the verdict takes into account, in order."""
        return tuple(r for r in self.judgement.results if r.kind == "override")

    @property
    def failed(self) -> tuple[Result, ...]:
        return self.judgement.failed

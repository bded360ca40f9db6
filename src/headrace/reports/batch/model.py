"""Data of a gate report, collected in one place and rendered in another.

Moments are int64 microseconds UTC.
"""

from dataclasses import dataclass
from typing import Any

from headrace.gates.compare import Comparison
from headrace.gates.verdict import Judgement, Result


@dataclass(frozen=True)
class Origin:
    """Origin of a batch. `origins` are the other names it was delivered under."""

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
    """Rules that the batch was validated by, and the owner of its data.

    Attributes:
        current: True if the table has the same rules today.
        support: channels to reach the owner: (channel, address or "").
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
    """Last batch before this one that is published."""

    batch_id: str
    slot: str
    rows: int
    published_at: int
    verdict: str


@dataclass(frozen=True)
class Reach:
    """Everything that reads the table, from the pipeline's declaration.

    Attributes:
        views: (feature view, number of its features).
        datasets: (dataset, its use of the table in words, as in "takes its label from it").
        consumers: consumers in the contract.
        released: dataset releases with this batch; `trained` are the models trained on them.
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
    """Row with its key, some values and the ids of the checks that it failed."""

    line: int | None
    key: tuple[tuple[str, Any], ...]
    values: tuple[tuple[str, Any], ...]
    checks: tuple[str, ...]


@dataclass(frozen=True)
class FailingRows:
    """First of `total` failing rows; `command` gets all. `shared` is in the key of every row."""

    rows: tuple[FailingRow, ...]
    total: int
    command: str
    shared: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class RuleHistory:
    """Verdicts of a check over batches, oldest first; the last is that of this batch."""

    check: str
    verdicts: tuple[str, ...]


@dataclass(frozen=True)
class BatchHistory:
    """Verdicts of recent batches: `slots`, `verdicts` and those of each rule have equal length."""

    slots: tuple[str, ...]
    verdicts: tuple[str, ...]
    rules: tuple[RuleHistory, ...]


@dataclass(frozen=True)
class LogEntry:
    """Action of a person, done or refused."""

    at: int
    principal: str
    action: str
    scope: str
    reason: str
    expires_at: int | None = None
    allowed: bool = True
    note: str = ""


@dataclass(frozen=True)
class ActionStep:
    """Action for the reader: in words, as a command, and as a page of Dagster that does it.

    `action` is the command of `headrace gate` if it acts on this batch.
    """

    name: str
    does: str
    command: str
    url: str = ""
    action: str = ""


@dataclass(frozen=True)
class Report:
    """Report on one batch of one table, for the person on call.

    Attributes:
        state: as in the ledger: pending, published, superseded, rejected, judged, received.
        note: recorded reason for that state; successor: the batch that superseded this one.
        passing: number of rows that passed all checks; those of a blocked batch wait, too.
        comparison: comparison with `last_good`; not_compared says why there is none.
        rendered_at: moment at which the facts were collected.
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
    history: BatchHistory | None = None
    log: tuple[LogEntry, ...] = ()
    steps: tuple[ActionStep, ...] = ()

    @property
    def verdict(self) -> str:
        return self.judgement.verdict.value

    @property
    def is_pending(self) -> bool:
        """True if the batch waits for a decision."""
        return self.state == "pending"

    @property
    def closed(self) -> bool:
        """True if no row of the batch is used, and none waits."""
        return self.state in {"superseded", "rejected", "recalled"}

    @property
    def overrides(self) -> tuple[Result, ...]:
        """Actions of people that the verdict takes into account, in order."""
        return tuple(r for r in self.judgement.results if r.kind == "override")

    @property
    def failed(self) -> tuple[Result, ...]:
        return self.judgement.failed

"""Data of a gate report, which `facts` collects and `page` renders.

Times are int64 microseconds UTC.
"""

from dataclasses import dataclass
from typing import Any

from headrace.gates.compare import Comparison
from headrace.gates.verdict import Judgement, Result


@dataclass(frozen=True)
class Origin:
    """Origin of a batch. `origins` are other names under which the same bytes were delivered."""

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
    """Rules by which the batch was validated, and the owner of its data.

    Attributes:
        current: True if the table still has the same rules.
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
    """Latest published batch before this one."""

    batch_id: str
    slot: str
    rows: int
    published_at: int
    verdict: str


@dataclass(frozen=True)
class Reach:
    """Everything downstream of the table, from the pipeline's declaration.

    Attributes:
        views: (feature view, number of its features).
        datasets: (dataset, text on its use of the table, as in "takes its label from it").
        models: models trained on these datasets.
        consumers: other consumers named in the contract.
        released: dataset releases that contain this batch.
        trained: models trained on these releases.
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
    """Failing row: its line in the file, key, relevant values, and ids of the failed checks."""

    line: int | None
    key: tuple[tuple[str, Any], ...]
    values: tuple[tuple[str, Any], ...]
    checks: tuple[str, ...]


@dataclass(frozen=True)
class FailingRows:
    """First of `total` failing rows; `command` lists all of them.

    `shared` are the (column, value) pairs of the key that all rows have in common.
    """

    rows: tuple[FailingRow, ...]
    total: int
    command: str
    shared: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class RuleHistory:
    """Verdicts of a check on recent batches, oldest first; the last one is on this batch."""

    check: str
    verdicts: tuple[str, ...]


@dataclass(frozen=True)
class BatchHistory:
    """Verdicts on recent batches, oldest first.

    `slots`, `verdicts` and the verdicts of each rule have one entry per batch.
    """

    slots: tuple[str, ...]
    verdicts: tuple[str, ...]
    rules: tuple[RuleHistory, ...]


@dataclass(frozen=True)
class LogEntry:
    """A person's action on the batch; `allowed` is False if it was refused."""

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
    """Possible action: its name, its effect, the command, and the URL of the Dagster job.

    `action` is the subcommand of `headrace gate`; "" if the step is not an action on this batch.
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
        state: state in the ledger, such as pending, published, superseded, rejected or recalled.
        note: recorded reason for that state.
        successor: id of the batch that superseded this one.
        passing: number of rows that passed all checks, also if the batch is blocked.
        corrects: True if `last_good` is an earlier delivery of the same partition.
        comparison: comparison with `last_good`; None if there is none.
        not_compared: reason why there is no comparison.
        rendered_at: time at which the facts were collected.
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
        """True if no row of the batch is in use or waits for a decision."""
        return self.state in {"superseded", "rejected", "recalled"}

    @property
    def overrides(self) -> tuple[Result, ...]:
        """Overrides by people that the verdict takes into account, in order."""
        return tuple(r for r in self.judgement.results if r.kind == "override")

    @property
    def failed(self) -> tuple[Result, ...]:
        return self.judgement.failed

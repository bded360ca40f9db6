"""Records of the ledger: batches, verdicts and the progress in lanes of streams."""

from dataclasses import dataclass

# `received`: not validated yet; `judged`: to be published by the next commit; `pending`: blocked by
# the gate; `superseded`: replaced by another delivery of its partition; `recalled`: removed after
# its publication, until it is restored.
STATES = ("received", "judged", "pending", "published", "rejected", "superseded", "recalled")


@dataclass(frozen=True)
class Batch:
    """One delivery to a table, and its state. Times are int64 microseconds UTC."""

    batch_id: str
    slot: str
    source: str
    origin: str
    producer: str
    owner: str
    format: str
    sha256: str
    bytes: int
    arrived_at: int
    received_at: int
    sequence: int
    raw_path: str
    state: str
    published_at: int | None
    snapshot_id: int | None
    note: str

    @property
    def order(self) -> tuple[int, int, str]:
        """Order of arrival; the id breaks ties, so that it is the same everywhere."""
        return (self.arrived_at, self.sequence, self.batch_id)


@dataclass(frozen=True)
class JudgementRow:
    """Verdict on one batch under one set of rules, and the files it staged.

    Attributes:
        rule_hash: hash of the table's rules, the muted checks and the overrides.
        delivered: number of rows, without exact repeats, which are in `repeated`.
        passing, quarantined: number of rows; passing + quarantined + rejected = delivered unless
            the batch is blocked.
        staged_path, quarantine_path: files of these rows; empty if there are none.
        summary: sentences for people, one per line.
        judgement: the whole report as JSON; empty if it was not read.
        base_hash: hash of the table's rules only; see `validator.table_rule`.
        derived_from: for a verdict with overrides, the `rule_hash` of the gate's own verdict;
            otherwise empty.
        action_ids: JSON list of the ids of all overrides and mutes that affect the verdict.
        rejected: number of quarantined rows that people rejected.
        forced: 1 if no row of the batch would be published without these actions.
        published_at: commit time of `staged_path`, microseconds UTC.
        withdrawn_at: when `staged_path` left the table because the override ended.
    """

    batch_id: str
    rule_hash: str
    verdict: str
    delivered: int
    passing: int
    quarantined: int
    repeated: int
    staged_path: str
    quarantine_path: str
    judged_at: int
    summary: str
    judgement: str
    base_hash: str = ""
    derived_from: str = ""
    action_ids: str = "[]"
    rejected: int = 0
    forced: int = 0
    published_at: int | None = None
    snapshot_id: int | None = None
    withdrawn_at: int | None = None


@dataclass(frozen=True)
class LaneProgress:
    """Progress in one lane of a stream; `last_at` is int64 microseconds UTC."""

    position: str
    events: int
    batches: int
    lost_events: int
    last_at: int

"""State of a partition: a pure decision over its batches and their verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from headrace.lake.ledger.ledger import Batch, JudgementRow
from headrace.lake.ledger.supersession import successor

State = Literal["published", "pending", "missing", "failed", "not_expected"]
PUBLISHABLE = ("PASS", "WARN", "QUARANTINE")
BLOCKED = ("BLOCK", "ERROR")
SEVERITY = {"PASS": 0, "WARN": 1, "QUARANTINE": 2, "BLOCK": 3, "ERROR": 4}
# Batches in these states need no further work, and do not count in their partition's verdict.
SETTLED_STATES = ("superseded", "rejected", "recalled")


NONE_LAPSED: Mapping[str, JudgementRow | None] = {}


@dataclass(frozen=True)
class SlotResult:
    """Result of a partition after a run.

    Attributes:
        table: name of the table.
        slot: the partition, such as an ISO day.
        state: "published"; "pending" (a delivery is blocked; rows that were already published
            remain visible); "missing"
            (expected, not delivered); "failed" (the source could not be read); "not_expected"
            (neither expected nor delivered).
        verdict: the most severe one of its batches: PASS, WARN, QUARANTINE, BLOCK, ERROR, or
            MISSING.
        delivered: number of rows, = published + quarantined + pending; without superseded, rejected
            and recalled rows.
        published, quarantined, pending: number of rows.
        repeated: number of exact repeats within a delivery, not in `delivered`.
        batches: ids of the partition's batches, in order of arrival.
        batch: id of the batch that gave the verdict; "" if there is none.
        reasons: sentences for people.
        judgement: the gate's report on the batch that gave the verdict.
        changed: True if this run changed anything.
        snapshot_id: the table's snapshot after the run.
    """

    table: str
    slot: str
    state: State
    verdict: str
    delivered: int = 0
    published: int = 0
    quarantined: int = 0
    pending: int = 0
    repeated: int = 0
    batches: tuple[str, ...] = ()
    batch: str = ""
    reasons: tuple[str, ...] = ()
    judgement: dict[str, Any] | None = None
    changed: bool = False
    snapshot_id: int | None = None


@dataclass(frozen=True)
class SlotProgress:
    """Progress of a run after a partition was validated: `finished` of `total`."""

    table: str
    slot: str
    verdict: str
    finished: int
    total: int


@dataclass(frozen=True)
class Pick:
    """Decision about the batches of a partition.

    Attributes:
        add: verdicts whose rows should become visible.
        replace: verdicts whose file replaces their batch's present file.
        withdrawn: ids of batches whose file leaves the table because their override has ended.
        superseded: (id of an unpublished batch, id of the batch that supersedes it: one that
            passed, or one with the same rows).
    """

    add: tuple[JudgementRow, ...] = ()
    replace: tuple[JudgementRow, ...] = ()
    withdrawn: tuple[str, ...] = ()
    superseded: tuple[tuple[str, str], ...] = ()


def is_settled(batch: Batch, judgement: JudgementRow | None, live: Mapping[str, str]) -> bool:
    """Return True if a batch needs no further work under the present rules."""
    if batch.state in SETTLED_STATES:
        return True
    if judgement is None or judgement.verdict == "ERROR":
        return False
    return judgement.verdict not in PUBLISHABLE or is_shown(judgement, live)


def is_shown(judgement: JudgementRow, live: Mapping[str, str]) -> bool:
    """Return True if the file that this verdict staged is in the table now.

    It is not if another file of the batch has replaced it, for example under other rules. A batch
    without passing rows has no file, and counts as shown once it is published.
    """
    return (
        judgement.published_at is not None
        and live.get(judgement.batch_id, "") == judgement.staged_path
    )


def pick(
    batches: Sequence[Batch],
    verdicts: Mapping[str, JudgementRow],
    live: Mapping[str, str],
    visible: Sequence[str] = (),
    lapsed: Mapping[str, JudgementRow | None] = NONE_LAPSED,
) -> Pick:
    """Decide which of a partition's batches to add, replace, withdraw or supersede.

    `batches` are in order of arrival. Every batch that passed is published: a correction adds rows
    with its own known-at. A blocked batch that was never published may be superseded; `visible` are
    the batches that the source has now. When an override has `lapsed`, the rows that only the
    override admitted are removed; the batch's last good file, if there is one, replaces them.
    """
    open_ones = [b for b in batches if b.state not in SETTLED_STATES and b.batch_id in verdicts]
    passed = [b for b in open_ones if verdicts[b.batch_id].verdict in PUBLISHABLE]
    blocked = [
        b for b in open_ones if verdicts[b.batch_id].verdict in BLOCKED and b.batch_id not in live
    ]
    todo = [verdicts[b.batch_id] for b in passed if not is_shown(verdicts[b.batch_id], live)]
    ended = {b.batch_id: lapsed[b.batch_id] for b in open_ones if b.batch_id in lapsed}
    todo += [good for good in ended.values() if good is not None]
    superseded = [
        (b.batch_id, winner.batch_id)
        for b in blocked
        if (winner := successor(b, passed, visible)) is not None
    ]
    return Pick(
        add=tuple(j for j in todo if j.batch_id not in live),
        replace=tuple(j for j in todo if j.batch_id in live),
        withdrawn=tuple(batch_id for batch_id, good in ended.items() if good is None),
        superseded=tuple(superseded),
    )


def decisive_batch(
    batches: Sequence[Batch], verdicts: Mapping[str, JudgementRow]
) -> tuple[Batch, JudgementRow] | None:
    """Return the batch that gives the partition its verdict: the most severe, then the latest.

    Of the published batches of an incremental source (format `changes`), only the latest counts.
    """
    open_ones = [b for b in batches if b.state not in SETTLED_STATES and b.batch_id in verdicts]
    read_on = [b for b in open_ones if b.format == "changes" and b.state == "published"]
    past = {b.batch_id for b in sorted(read_on, key=lambda b: b.order)[:-1]}
    candidates = [(b, verdicts[b.batch_id]) for b in open_ones if b.batch_id not in past]
    if not candidates:
        return None
    return max(candidates, key=lambda pair: (SEVERITY[pair[1].verdict], pair[0].order))

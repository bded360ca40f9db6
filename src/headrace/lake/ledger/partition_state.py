"""What each slot shows: a pure decision over its batches and their verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from headrace.lake.ledger.ledger import Batch, JudgementRow
from headrace.lake.ledger.supersession import successor

State = Literal["published", "pending", "missing", "failed", "not_expected"]
PUBLISHABLE = ("PASS", "WARN", "QUARANTINE")
BLOCKED = ("BLOCK", "ERROR")
SEVERITY = {"PASS": 0, "WARN": 1, "QUARANTINE": 2, "BLOCK": 3, "ERROR": 4}
# Nothing is done about these any more, and a slot does not show them.
SETTLED_STATES = ("superseded", "rejected", "recalled")


NONE_LAPSED: Mapping[str, JudgementRow | None] = {}


@dataclass(frozen=True)
class SlotResult:
    """What a slot shows after a run.

    Attributes:
        table: name of the table.
        slot: the slot, such as an ISO day.
        state: "published"; "pending" (a delivery is blocked, what was published before stays);
            "missing" (expected, not delivered); "failed" (the source could not be read);
            "not_expected" (neither expected nor delivered).
        verdict: the gravest of the shown batches: PASS, WARN, QUARANTINE, BLOCK, ERROR, or MISSING.
        delivered: rows, = published + quarantined + pending; superseded, rejected and recalled left
            out.
        published, quarantined, pending: rows.
        repeated: exact repeats inside a delivery, not in `delivered`.
        batches: ids of the slot's batches, in order of arrival.
        batch: id of the one that gave the verdict; "" if none did.
        reasons: sentences for people.
        judgement: the gate's report on the batch that gave the verdict.
        changed: whether this run changed anything.
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
    """A slot was judged; its commit is still to come. `done` of `total` slots."""

    table: str
    slot: str
    verdict: str
    done: int
    total: int


@dataclass(frozen=True)
class Pick:
    """What should happen to the batches of a slot.

    Attributes:
        add: verdicts whose rows should become visible.
        replace: verdicts whose file takes the place of their batch's present one.
        withdrawn: ids of batches whose file leaves: what had forced it in has ended.
        superseded: (batch never published, the batch that is shown in its stead: a later one that
            passed, or one with the same rows).
    """

    add: tuple[JudgementRow, ...] = ()
    replace: tuple[JudgementRow, ...] = ()
    withdrawn: tuple[str, ...] = ()
    superseded: tuple[tuple[str, str], ...] = ()


def is_settled(batch: Batch, judged: JudgementRow | None, live: Mapping[str, str]) -> bool:
    """Whether nothing is left to do for a batch under the present rules."""
    if batch.state in SETTLED_STATES:
        return True
    if judged is None or judged.verdict == "ERROR":
        return False
    return judged.verdict not in PUBLISHABLE or is_shown(judged, live)


def is_shown(judged: JudgementRow, live: Mapping[str, str]) -> bool:
    """Whether the table shows what this verdict staged; none of a batch without passing rows.

    That it was published once does not say so: under other rules its file may have been replaced.
    """
    return judged.published_at is not None and live.get(judged.batch_id, "") == judged.staged_path


def pick(
    batches: Sequence[Batch],
    judged: Mapping[str, JudgementRow],
    live: Mapping[str, str],
    visible: Sequence[str] = (),
    lapsed: Mapping[str, JudgementRow | None] = NONE_LAPSED,
) -> Pick:
    """Decide over one slot's batches, given in order of arrival.

    Every batch that passed is live: a correction adds rows with its own known-at. A blocked one
    that was never published may be superseded; `visible` is what its source shows now.
    What an override alone had let in leaves when the override has `lapsed`; the last good file of
    that batch, if there is one, takes its place.
    """
    open_ones = [b for b in batches if b.state not in SETTLED_STATES and b.batch_id in judged]
    passed = [b for b in open_ones if judged[b.batch_id].verdict in PUBLISHABLE]
    blocked = [
        b for b in open_ones if judged[b.batch_id].verdict in BLOCKED and b.batch_id not in live
    ]
    todo = [judged[b.batch_id] for b in passed if not is_shown(judged[b.batch_id], live)]
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


def shown(
    batches: Sequence[Batch], judged: Mapping[str, JudgementRow]
) -> tuple[Batch, JudgementRow] | None:
    """The batch that gives the slot its verdict: the gravest, of equals the latest.

    A table that is read on has one slot for ever: of what was published there, the latest counts.
    """
    open_ones = [b for b in batches if b.state not in SETTLED_STATES and b.batch_id in judged]
    read_on = [b for b in open_ones if b.format == "changes" and b.state == "published"]
    past = {b.batch_id for b in sorted(read_on, key=lambda b: b.order)[:-1]}
    candidates = [(b, judged[b.batch_id]) for b in open_ones if b.batch_id not in past]
    if not candidates:
        return None
    return max(candidates, key=lambda pair: (SEVERITY[pair[1].verdict], pair[0].order))

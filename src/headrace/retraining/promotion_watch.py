"""Promotion watch: check that a new champion is not worse than the old one on new data.

After each window of the monitor, the losses of both models on the rows since the promotion are
compared. The confidence intervals are valid for all of these comparisons together. Faulty windows
do not count. If the new champion is clearly worse, it is rolled back at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace.core.clock import DAY, duration, iso, now_us, parse_iso
from headrace.core.errors import DeclarationError, TaintedError
from headrace.datasets.splits.rolling import Withheld
from headrace.monitoring.decisions.ledger import DecisionLedger, StepName
from headrace.monitoring.evidence.model import Window, day_number
from headrace.retraining.environment import World, labelled, unseen
from headrace.retraining.request import faulty_spans
from headrace.retraining.workflow import SETTLED, retraining_lock

if TYPE_CHECKING:
    from headrace.models import ModelRecord
    from headrace.models.compare import ModelComparison


@dataclass(frozen=True)
class Watched:
    """Result of checking a watched promotion.

    `step` is `confirmed`, `rolled_back` or `failed`; None if the watch continues.
    """

    trigger_id: str
    windows: int
    step: StepName | None
    because: str


def watch_over(
    world: World, *, now: int | None = None, clock: Callable[[], int] = now_us
) -> list[Watched]:
    """Check each watched promotion: confirm it, roll it back, or wait.

    The result depends on the windows that have ended, not on the number of calls. `now` (us) is the
    time of the evaluation, by default the time of `clock`. Results are recorded with the time of
    `clock`.
    """
    ledger = DecisionLedger(world.home)
    if not any(step.step == "watching" for step in ledger.steps(world.monitor.name)):
        return []
    with retraining_lock(world.home, world.monitor.name):
        steps = ledger.steps(world.monitor.name)
        settled = {step.trigger_id for step in steps if step.step in SETTLED}
        waiting = [s for s in steps if s.step == "watching" and s.trigger_id not in settled]
        results = []
        for watch in waiting:
            moment = clock() if now is None else now
            result, detail = _check(world, ledger, watch.trigger_id, watch.detail, moment)
            if result.step is not None:
                ledger.record_step(
                    world.monitor.name, watch.trigger_id, result.step, detail, clock()
                )
            results.append(result)
        return results


def _check(
    world: World, ledger: DecisionLedger, trigger_id: str, watch: Mapping[str, Any], now: int
) -> tuple[Watched, dict[str, Any]]:
    """Check one watched promotion at `now`; return the result and the details to record."""
    from headrace.models import load_record, pointer

    home, name = world.home, world.model.name
    current = pointer(home, name)
    current_bundle = None if current is None else current.bundle_id
    evidence: dict[str, Any] = {}
    if current_bundle == watch["previous"]:
        ending: tuple[StepName | None, str] = (
            "rolled_back",
            "the old champion is the champion again",
        )
        windows = 0
    elif current_bundle != watch["bundle"]:
        ending, windows = ("confirmed", "another model became champion before the watch ended"), 0
    elif watch["previous"] is None:
        ending, windows = ("confirmed", "there is no previous champion to compare it with"), 0
    else:
        new, old = (load_record(home, name, watch[key]) for key in ("bundle", "previous"))
        ending, windows, evidence = _compare_windows(world, ledger, watch, (new, old), now)
        if ending[0] == "rolled_back":
            ending = _roll_back(world, trigger_id, old, ending[1])
    step, because = ending
    detail = {"because": because, "windows": windows, "champion": watch["bundle"], **evidence}
    return Watched(trigger_id, windows, step, because), detail


def _compare_windows(
    world: World,
    ledger: DecisionLedger,
    watch: Mapping[str, Any],
    models: "tuple[ModelRecord, ModelRecord]",
    now: int,
) -> tuple[tuple[StepName | None, str], int, dict[str, Any]]:
    """Compare the models after each window until there is a result.

    Returns (step or None, reason), the number of compared windows, and details to record.
    """
    from headrace.models.compare import compare

    new, old = models
    since, planned = parse_iso(watch["from"]), int(watch["windows"])
    spans = faulty_spans(world.monitor, ledger.entries(world.monitor.name), now)
    ends = _over(world, since, now, spans)[:planned]
    if not ends:
        return (None, "no window is over yet"), 0, {}
    frame, definitions = world.rows(since, ends[-1], now)
    matures = duration(world.monitor.maturity)
    rows = unseen(labelled(frame, new.target, matures, now), spans)
    t = rows["t"].cast(pa.int64()).to_numpy()
    detail: dict[str, Any] = {}
    for count, end in enumerate(ends, start=1):
        try:
            comparison = compare(
                new,
                old,
                rows.filter(pa.array(t < end)),
                definitions,
                rounds=world.model.bootstrap,
                seed=world.model.seed,
                looks=planned,
            )
        except DeclarationError as error:
            if count < planned:
                continue
            return (
                ("confirmed", f"it cannot be compared with the old one: {error.what}"),
                count,
                detail,
            )
        detail = {"comparison": comparison.to_json(), "from": watch["from"], "until": iso(end)}
        if comparison.days > 1 and comparison.interval["low"] > comparison.margin(
            world.plan.watch_margin
        ):
            return (
                ("rolled_back", f"it loses to the old champion: {_loss_text(comparison)}"),
                count,
                detail,
            )
    if len(ends) < planned:
        return (None, f"{len(ends)} of {planned} windows are over"), len(ends), detail
    return ("confirmed", f"against the old champion {_loss_text(comparison)}"), planned, detail


def _loss_text(comparison: "ModelComparison") -> str:
    title = comparison.task.title
    return f"{title} {comparison.summary} over {comparison.rows:,} rows of {comparison.days} days"


def _over(world: World, since: int, now: int, spans: list[Withheld]) -> list[int]:
    """Return the ends (us) of the windows after `since` that are mature at `now` and not faulty."""
    spec = world.monitor
    length, offset = spec.window_days, duration(spec.offset)
    anchor = day_number(spec.anchor)
    # Rounded up, because a window that begins before `since` does not count.
    first = anchor - (anchor * DAY - since - offset) // (length * DAY) * length
    ends = []
    while (end := spec.closes(Window(first, first + length))) + duration(spec.maturity) <= now:
        if not any(span.from_us < end and first * DAY - offset < span.until_us for span in spans):
            ends.append(end)
        first += length
    return ends


def _roll_back(
    world: World, trigger_id: str, old: "ModelRecord", because: str
) -> tuple[StepName, str]:
    """Promote the old champion again; fail if it was trained on a recalled batch."""
    from headrace.models import promote

    try:
        promote(world.home, old, f"rollback of retraining {trigger_id[:12]}: {because}")
    except TaintedError as error:
        return "failed", f"{because}; and the old champion cannot be promoted: {error.what}"
    return "rolled_back", because

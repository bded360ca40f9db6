"""After a promotion: whether the new champion keeps what the comparison promised.

On the rows that came since, the champion's loss is held against what the old champion would have
said of the same rows. It is asked after each window of the monitor, in order, with intervals that
hold at all of them; windows that stand as faulty do not count. Clearly worse: rolled back at once.
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
from headrace.retraining.workflow import SETTLED, alone

if TYPE_CHECKING:
    from headrace.models import ModelRecord
    from headrace.models.compare import Comparison


@dataclass(frozen=True)
class Watched:
    """What a look at one watch found: `step` is confirmed or rolled_back, None while it goes on."""

    trigger_id: str
    windows: int
    step: StepName | None
    because: str


def watch_over(
    world: World, *, now: int | None = None, clock: Callable[[], int] = now_us
) -> list[Watched]:
    """Look at each promotion that is being watched; confirm it, roll it back, or wait.

    The answer hangs on the windows that are over, not on how often this is called. `now` (us) is
    the moment to judge by, instead of the clock's; an answer is on record since the clock's.
    """
    ledger = DecisionLedger(world.home)
    if not any(step.step == "watching" for step in ledger.steps(world.monitor.name)):
        return []
    with alone(world.home, world.monitor.name):
        steps = ledger.steps(world.monitor.name)
        settled = {step.trigger_id for step in steps if step.step in SETTLED}
        waiting = [s for s in steps if s.step == "watching" and s.trigger_id not in settled]
        looked = []
        for one in waiting:
            moment = clock() if now is None else now
            found, detail = _look(world, ledger, one.trigger_id, one.detail, moment)
            if found.step is not None:
                ledger.record_step(world.monitor.name, one.trigger_id, found.step, detail, clock())
            looked.append(found)
        return looked


def _look(
    world: World, ledger: DecisionLedger, trigger_id: str, watch: Mapping[str, Any], now: int
) -> tuple[Watched, dict[str, Any]]:
    """What is to be said of one watch now, and what is to stand on record of it."""
    from headrace.models import load_record, pointer

    home, name = world.home, world.model.name
    standing = pointer(home, name)
    now_is = None if standing is None else standing.bundle_id
    about: dict[str, Any] = {}
    if now_is == watch["previous"]:
        found: tuple[StepName | None, str] = "rolled_back", "the old champion is in charge again"
        seen = 0
    elif now_is != watch["bundle"]:
        found, seen = ("confirmed", "another model took charge before the watch was over"), 0
    elif watch["previous"] is None:
        found, seen = ("confirmed", "there is no older champion to hold it against"), 0
    else:
        new, old = (load_record(home, name, watch[key]) for key in ("bundle", "previous"))
        found, seen, about = _judge(world, ledger, watch, (new, old), now)
        if found[0] == "rolled_back":
            found = _roll_back(world, trigger_id, old, found[1])
    step, because = found
    detail = {"because": because, "windows": seen, "champion": watch["bundle"], **about}
    return Watched(trigger_id, seen, step, because), detail


def _judge(
    world: World,
    ledger: DecisionLedger,
    watch: Mapping[str, Any],
    models: "tuple[ModelRecord, ModelRecord]",
    now: int,
) -> tuple[tuple[StepName | None, str], int, dict[str, Any]]:
    """The first window at which the answer is clear, or that the watch goes on."""
    from headrace.models.compare import compare

    new, old = models
    since, wanted = parse_iso(watch["from"]), int(watch["windows"])
    spans = faulty_spans(world.monitor, ledger.entries(world.monitor.name), now)
    ends = _over(world, since, now, spans)[:wanted]
    if not ends:
        return (None, "no window is over yet"), 0, {}
    frame, definitions = world.rows(since, ends[-1], now)
    matures = duration(world.monitor.maturity)
    rows = unseen(labelled(frame, new.target, matures, now), spans)
    t = rows["t"].cast(pa.int64()).to_numpy()
    told: dict[str, Any] = {}
    for seen, end in enumerate(ends, start=1):
        try:
            found = compare(
                new,
                old,
                rows.filter(pa.array(t < end)),
                definitions,
                rounds=world.model.bootstrap,
                seed=world.model.seed,
                looks=wanted,
            )
        except DeclarationError as error:
            if seen < wanted:
                continue
            return ("confirmed", f"it cannot be held against the old one: {error.what}"), seen, told
        told = {"comparison": found.to_json(), "from": watch["from"], "until": iso(end)}
        if found.days > 1 and found.interval["low"] > world.plan.watch_margin:
            return ("rolled_back", f"it loses to the old champion: {_says(found)}"), seen, told
    if len(ends) < wanted:
        return (None, f"{len(ends)} of {wanted} windows are over"), len(ends), told
    return ("confirmed", f"against the old champion {_says(found)}"), wanted, told


def _says(found: "Comparison") -> str:
    return f"log loss {found.summary} over {found.rows:,} rows of {found.days} days"


def _over(world: World, since: int, now: int, spans: list[Withheld]) -> list[int]:
    """Ends (us) of the windows that lie after `since`, are mature by `now`, and not faulty."""
    spec = world.monitor
    length, offset = spec.window_days, duration(spec.offset)
    anchor = day_number(spec.anchor)
    # rounded up: a window of which some hours were before is none of those after
    first = anchor - (anchor * DAY - since - offset) // (length * DAY) * length
    found = []
    while (end := spec.closes(Window(first, first + length))) + duration(spec.maturity) <= now:
        if not any(span.from_us < end and first * DAY - offset < span.until_us for span in spans):
            found.append(end)
        first += length
    return found


def _roll_back(
    world: World, trigger_id: str, old: "ModelRecord", because: str
) -> tuple[StepName, str]:
    """The old champion takes charge again; not one that was trained on a recalled batch."""
    from headrace.models import promote

    try:
        promote(world.home, old, f"rollback of retraining {trigger_id[:12]}: {because}")
    except TaintedError as error:
        return "failed", f"{because}; and the old champion cannot take charge: {error.what}"
    return "rolled_back", because

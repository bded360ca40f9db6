"""What a retraining starts from, read off the decision ledger: why, as of when, without what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from headrace.core.clock import DAY, duration, iso, parse_iso
from headrace.core.errors import StateError
from headrace.datasets.splits.rolling import Withheld
from headrace.models.training_rows import Segment
from headrace.monitoring.decisions.ledger import DecisionLedger, Entry, newest_entries
from headrace.monitoring.evidence.model import DISTRUSTED, MODEL, alarms
from headrace.monitoring.spec import MonitorSpec


@dataclass(frozen=True)
class Request:
    """A retraining that is asked for.

    Attributes:
        trigger_id: the same retraining has the same, however often it is begun.
        as_of: the moment (us) it is made for: no later row, no later label.
        why: in sentences.
        by: `monitor <name>`, or the person.
        onsets: moments (us) from which on the relation may be another one, latest first.
        segment: where it is another one; () for everywhere.
        window: days of the window that asked, None for a person.
    """

    trigger_id: str
    as_of: int
    why: tuple[str, ...]
    by: str
    onsets: tuple[int, ...] = ()
    segment: Segment = ()
    window: tuple[int, int] | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "as_of": iso(self.as_of),
            "why": list(self.why),
            "by": self.by,
            "onsets": [iso(onset) for onset in self.onsets],
            "segment": [list(pair) for pair in self.segment],
            "window": None if self.window is None else list(self.window),
        }

    @classmethod
    def from_json(cls, trigger_id: str, form: Mapping[str, Any]) -> "Request":
        window = form["window"]
        return cls(
            trigger_id,
            parse_iso(form["as_of"]),
            tuple(form["why"]),
            form["by"],
            tuple(map(parse_iso, form["onsets"])),
            tuple((str(column), str(value)) for column, value in form["segment"]),
            None if window is None else (window[0], window[1]),
        )


def requested(spec: MonitorSpec, ledger: DecisionLedger, trigger_id: str) -> Request:
    """What the decision with this trigger asks for, or the person who began it.

    Raises:
        StateError: no decision of this monitor has that trigger.
    """
    entry = ledger.entry_of(trigger_id)
    begun = [step for step in ledger.steps(spec.name, trigger_id) if step.step == "started"]
    if entry is None and begun:  # a person asked, and it is carried on
        return Request.from_json(trigger_id, begun[0].detail)
    if entry is None or entry.pipeline != spec.name:
        raise StateError(
            f"no decision of {spec.name} has the trigger {trigger_id}",
            where=str(ledger.path),
            fix="headrace monitor explain DAY names it; without --trigger a person asks",
        )
    history = [one for one in ledger.entries(spec.name) if one.cursor <= entry.cursor]
    return Request(
        trigger_id,
        spec.closes(entry.window),
        entry.decision.reasons,
        f"monitor {spec.name}",
        onsets(spec, history, entry),
        segment_of(entry),
        (entry.window.first, entry.window.end),
    )


def by_hand(spec: MonitorSpec, ledger: DecisionLedger, request: Request) -> Request:
    """What a person asks for, with what the last window by then says of the relation."""
    known = [
        entry for entry in ledger.entries(spec.name) if spec.closes(entry.window) <= request.as_of
    ]
    last = list(newest_entries(known).values())[-1:]
    if not last:
        return request
    return replace(request, onsets=onsets(spec, known, last[0]), segment=segment_of(last[0]))


def faulty(entry: Entry) -> bool:
    return any(alarm.kind in DISTRUSTED for alarm in alarms(entry.evidence))


def faulty_spans(spec: MonitorSpec, entries: Sequence[Entry], until: int) -> list[Withheld]:
    """Prediction times of the windows before `until` (us) that stand as faulty."""
    offset = duration(spec.offset)
    found = []
    for entry in newest_entries(entries).values():
        first = entry.window.first * DAY - offset
        if first < until and faulty(entry):
            kinds = {(alarm.kind, alarm.subject) for alarm in alarms(entry.evidence)}
            told = sorted(f"{kind} {subject}" for kind, subject in kinds if kind in DISTRUSTED)
            found.append(Withheld(first, spec.closes(entry.window), ", ".join(told)))
    return found


def onsets(spec: MonitorSpec, entries: Sequence[Entry], asked: Entry) -> tuple[int, ...]:
    """From when on the relation may be another one: where the alarms began, and earlier.

    A window is judged on predictions made the label's maturity earlier. Small segments take some
    windows to be seen, so two windows before the first alarm are offered as well. () where what
    asked is no alarm about the relation.
    """
    if not _about_relation(asked):
        return ()
    first = asked.window.first
    for entry in reversed(
        [e for e in newest_entries(entries).values() if e.window.end < asked.window.end]
    ):
        if faulty(entry):
            continue
        if not _about_relation(entry):
            break
        first = entry.window.first
    seen = first * DAY - duration(spec.offset) - duration(spec.maturity)
    return (seen, seen - 2 * spec.window_days * DAY)


def _about_relation(entry: Entry) -> bool:
    return any(alarm.kind in MODEL for alarm in alarms(entry.evidence))


def segment_of(entry: Entry) -> Segment:
    """The segment that carries the concept evidence most strongly; () if none is named."""
    named = [alarm for alarm in alarms(entry.evidence) if alarm.kind in MODEL and alarm.segment]
    if not named:
        return ()
    beyond = [one.statistic / one.threshold if one.threshold > 0 else 0.0 for one in named]
    return named[beyond.index(max(beyond))].segment

"""Requests for retrainings, with reasons, time and onsets of change from the decision ledger."""

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
    """Request for a retraining.

    Attributes:
        trigger_id: id of the retraining; it stays the same if the retraining is restarted.
        as_of: time (us) after which rows and labels are not used.
        why: reasons as sentences.
        by: `monitor <name>`, or the person who requested it.
        onsets: times (us) at which the relation of features and label may have changed, latest
            first.
        segment: segment in which the relation changed; () for all rows.
        window: first and end day number of the window that triggered it; None for a person.
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
    """Return the request with this trigger id, from a decision or from a person.

    Raises:
        StateError: no decision of this monitor has this trigger id.
    """
    entry = ledger.entry_of(trigger_id)
    begun = [step for step in ledger.steps(spec.name, trigger_id) if step.step == "started"]
    if entry is None and begun:  # a person's request that was started earlier
        return Request.from_json(trigger_id, begun[0].detail)
    if entry is None or entry.pipeline != spec.name:
        raise StateError(
            f"no decision of {spec.name} has the trigger {trigger_id}",
            where=str(ledger.path),
            fix="find the id with headrace monitor explain DAY, or omit --trigger",
        )
    history = [
        past_entry for past_entry in ledger.entries(spec.name) if past_entry.cursor <= entry.cursor
    ]
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
    """Add the onsets and segment of the last window to a person's request."""
    entries = [
        entry for entry in ledger.entries(spec.name) if spec.closes(entry.window) <= request.as_of
    ]
    last = list(newest_entries(entries).values())[-1:]
    if not last:
        return request
    return replace(request, onsets=onsets(spec, entries, last[0]), segment=segment_of(last[0]))


def faulty(entry: Entry) -> bool:
    return any(alarm.kind in DISTRUSTED for alarm in alarms(entry.evidence))


def faulty_spans(spec: MonitorSpec, entries: Sequence[Entry], until: int) -> list[Withheld]:
    """Return the prediction times of faulty windows that begin before `until` (us), as spans."""
    offset = duration(spec.offset)
    spans = []
    for entry in newest_entries(entries).values():
        first = entry.window.first * DAY - offset
        if first < until and faulty(entry):
            kinds = {(alarm.kind, alarm.subject) for alarm in alarms(entry.evidence)}
            faults = sorted(f"{kind} {subject}" for kind, subject in kinds if kind in DISTRUSTED)
            spans.append(Withheld(first, spec.closes(entry.window), ", ".join(faults)))
    return spans


def onsets(spec: MonitorSpec, entries: Sequence[Entry], trigger_entry: Entry) -> tuple[int, ...]:
    """Return two times (us) at which the relation of features and label may have changed.

    The first time belongs to the earliest window of the unbroken run of alarms. It is shifted back
    by the label's maturity, because a window is evaluated on predictions made that much earlier.
    The second time is two windows earlier, because a change in a small segment shows only after
    some windows. If the triggering window has no alarm about the relation, the result is ().
    """
    if not _about_relation(trigger_entry):
        return ()
    first = trigger_entry.window.first
    for entry in reversed(
        [e for e in newest_entries(entries).values() if e.window.end < trigger_entry.window.end]
    ):
        if faulty(entry):
            continue
        if not _about_relation(entry):
            break
        first = entry.window.first
    onset = first * DAY - duration(spec.offset) - duration(spec.maturity)
    return (onset, onset - 2 * spec.window_days * DAY)


def _about_relation(entry: Entry) -> bool:
    return any(alarm.kind in MODEL for alarm in alarms(entry.evidence))


def segment_of(entry: Entry) -> Segment:
    """Return the segment of the alarm that exceeds its threshold most; () if none has a segment."""
    segment_alarms = [
        alarm for alarm in alarms(entry.evidence) if alarm.kind in MODEL and alarm.segment
    ]
    if not segment_alarms:
        return ()
    beyond = [
        alarm.statistic / alarm.threshold if alarm.threshold > 0 else 0.0
        for alarm in segment_alarms
    ]
    return segment_alarms[beyond.index(max(beyond))].segment

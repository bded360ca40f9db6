"""Attribution of alarms: to the data, to the relation between inputs and outcome, or to both.

A fault of an input explains worse scores. A changed relation does not shift inputs, except inputs
that are computed from labels. The shift of such an input is a consequence and not a cause.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from headrace.monitoring.evidence.model import DATA_FAULTS, MODEL, SCORE, Evidence, alarms

_T = TypeVar("_T")
Cause = Literal["none", "data", "concept", "both"]
LONELY = 2  # a single fault, such as a swap, shifts at most this many columns
REVERSED = 1.2  # fall of the slope of outcomes on scores (usually 1) that reverses it


@dataclass(frozen=True)
class Attribution:
    """Cause of the alarms of a window, with its `columns` and `segments`, strongest first.

    A segment is a tuple of (column, level) pairs, as in `Evidence`.
    """

    cause: Cause
    columns: tuple[str, ...]
    segments: tuple[tuple[tuple[str, str], ...], ...]
    sentence: str

    def to_json(self) -> dict[str, Any]:
        return {
            "cause": self.cause,
            "columns": list(self.columns),
            "segments": [[list(pair) for pair in segment] for segment in self.segments],
            "sentence": self.sentence,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Attribution":
        segments = tuple(
            tuple((str(column), str(level)) for column, level in segment)
            for segment in value["segments"]
        )
        return cls(value["cause"], tuple(value["columns"]), segments, value["sentence"])


NO_ALARMS = Attribution("none", (), (), "Nothing beyond its limits.")


def attribute(evidence: Sequence[Evidence], label_derived: Collection[str] = ()) -> Attribution:
    """Return the cause of the alarms of one window. Notices alone have no cause.

    Args:
        evidence: evidence of one window, in any order.
        label_derived: columns computed from labels. If they shift together with the relation, the
            shift is a consequence of the changed relation.
    """
    loud = alarms(evidence)
    faults = [alarm for alarm in loud if alarm.kind in DATA_FAULTS]
    model = [alarm for alarm in loud if alarm.kind in MODEL]
    shifts = [alarm for alarm in loud if alarm.kind == "population"]
    if model:
        shifts = [shift for shift in shifts if not _follows(shift, label_derived)]
    if not model:
        return _attribution("data", [*faults, *shifts], "Data") if faults or shifts else NO_ALARMS
    if any(_reversed(alarm) for alarm in model) and (faults or shifts):
        return _attribution("both", [*faults, *shifts, *model], "Data and relation")
    blind = any(_blinds(fault) for fault in faults) or (
        bool(shifts) and _is_isolated_shift(evidence)
    )
    if (faults or shifts) and (blind or not _relation(model)):
        return _attribution("data", [*faults, *shifts], "Data", reacts=True)
    if faults or shifts:
        return _attribution("both", [*faults, *shifts, *model], "Data and relation")
    return _attribution("concept", model, "Relation")


def _relation(model: Sequence[Evidence]) -> bool:
    return any(evidence.kind == "concept" for evidence in model)


def _blinds(fault: Evidence) -> bool:
    """Return True if a fault changes the model's inputs, not only the number of rows."""
    return fault.kind != "volume" and not fault.subject.startswith("rows:")


def _reversed(alarm: Evidence) -> bool:
    """Return True if outcomes fall where scores rise, which a broken input does not cause."""
    return alarm.kind == "concept" and alarm.subject == "relation" and alarm.statistic > REVERSED


def _is_isolated_shift(evidence: Iterable[Evidence]) -> bool:
    """Return True if only one or two columns shifted, as with a broken input.

    A new population of rows shifts many columns at once.
    """
    shifts = [
        finding for finding in evidence if finding.kind == "population" and finding.subject != SCORE
    ]
    columns = {name for shift in shifts for name in shift.columns[:1]}
    return all(shift.columns for shift in shifts) and len(columns) <= LONELY


def _follows(shift: Evidence, label_derived: Collection[str]) -> bool:
    carried = shift.columns or (shift.subject,)
    return all(column in label_derived for column in carried)


def _attribution(
    cause: Cause, findings: Sequence[Evidence], title: str, reacts: bool = False
) -> Attribution:
    ranked = sorted(findings, key=_strength, reverse=True)
    columns = _distinct(column for finding in ranked for column in finding.columns)
    segments = _distinct(finding.segment for finding in ranked if finding.segment)
    remainder = f" And {len(ranked) - 1} more finding(s)." if len(ranked) > 1 else ""
    after = " The scores follow; the relation itself was not seen to move." if reacts else ""
    return Attribution(cause, columns, segments, f"{title}: {ranked[0].sentence}{remainder}{after}")


def _strength(finding: Evidence) -> tuple[bool, bool, float, str]:
    """Return a sort key: faults first, columns before relations, then the excess over the limit."""
    beyond = finding.statistic / finding.threshold if finding.threshold > 0 else float("inf")
    return finding.kind in DATA_FAULTS, finding.subject in finding.columns, beyond, finding.subject


def _distinct(values: Iterable[_T]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(values))

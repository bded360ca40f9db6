"""Which of two things happened: the data changed, or the relation between inputs and outcome did.

A fault of an input explains scores that got worse; a relation that moved changes no input, save the
ones that are made of labels: those follow and are a consequence.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from headrace.monitoring.evidence.model import DATA_FAULTS, MODEL, SCORE, Evidence, alarms

_T = TypeVar("_T")
Cause = Literal["none", "data", "concept", "both"]
LONELY = 2  # columns that may have moved and still be one fault, such as a swap
REVERSED = 1.2  # fall of the slope of outcomes over scores, which is about 1, that turns it


@dataclass(frozen=True)
class Attribution:
    """Cause of the alarms of a window: `columns` and `segments` that carry it, strongest first.

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


NOTHING = Attribution("none", (), (), "Nothing beyond its limits.")


def attribute(evidence: Sequence[Evidence], label_derived: Collection[str] = ()) -> Attribution:
    """Return the cause of the alarms of one window. Pure; notices have no cause.

    Args:
        evidence: of one window, in any order.
        label_derived: columns made of labels; moved together with the relation, they only follow.
    """
    loud = alarms(evidence)
    faults = [one for one in loud if one.kind in DATA_FAULTS]
    model = [one for one in loud if one.kind in MODEL]
    moved = [one for one in loud if one.kind == "population"]
    if model:
        moved = [one for one in moved if not _follows(one, label_derived)]
    if not model:
        return _made("data", [*faults, *moved], "Data") if faults or moved else NOTHING
    if any(_reversed(one) for one in model) and (faults or moved):
        return _made("both", [*faults, *moved, *model], "Data and relation")
    blind = any(_blinds(fault) for fault in faults) or (bool(moved) and _lonely(evidence))
    if (faults or moved) and (blind or not _relation(model)):
        return _made("data", [*faults, *moved], "Data", reacts=True)
    if faults or moved:
        return _made("both", [*faults, *moved, *model], "Data and relation")
    return _made("concept", model, "Relation")


def _relation(model: Sequence[Evidence]) -> bool:
    return any(evidence.kind == "concept" for evidence in model)


def _blinds(one: Evidence) -> bool:
    """Whether a fault changes what a model is given, and not only how many rows there are."""
    return one.kind != "volume" and not one.subject.startswith("rows:")


def _reversed(one: Evidence) -> bool:
    """Outcomes that fall where scores rise: a broken input blinds a model, it does not turn it."""
    return one.kind == "concept" and one.subject == "relation" and one.statistic > REVERSED


def _lonely(evidence: Iterable[Evidence]) -> bool:
    """Whether hardly more than one column moved: an input that broke rather than other rows."""
    moved = [one for one in evidence if one.kind == "population" and one.subject != SCORE]
    named = {name for one in moved for name in one.columns[:1]}
    return all(one.columns for one in moved) and len(named) <= LONELY


def _follows(one: Evidence, label_derived: Collection[str]) -> bool:
    carried = one.columns or (one.subject,)
    return all(column in label_derived for column in carried)


def _made(cause: Cause, found: Sequence[Evidence], title: str, reacts: bool = False) -> Attribution:
    ranked = sorted(found, key=_strength, reverse=True)
    columns = _distinct(column for one in ranked for column in one.columns)
    segments = _distinct(one.segment for one in ranked if one.segment)
    more = f" And {len(ranked) - 1} more finding(s)." if len(ranked) > 1 else ""
    after = " The scores follow; the relation itself was not seen to move." if reacts else ""
    return Attribution(cause, columns, segments, f"{title}: {ranked[0].sentence}{more}{after}")


def _strength(one: Evidence) -> tuple[bool, bool, float, str]:
    """Faults first, those of a column by itself before relations, then by how far they went."""
    beyond = one.statistic / one.threshold if one.threshold > 0 else float("inf")
    return one.kind in DATA_FAULTS, one.subject in one.columns, beyond, one.subject


def _distinct(values: Iterable[_T]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(values))

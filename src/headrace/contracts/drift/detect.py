"""The detection of semantic changes in one batch.

Two things make a finding: the batch is unusual against its own past, and a named hypothesis,
undone, makes it usual again. What is merely unusual is an anomaly, and only if it is gross.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from headrace.contracts.drift.baseline import Reference
from headrace.contracts.drift.batch_view import Look
from headrace.contracts.drift.detectors.categories import level_changes
from headrace.contracts.drift.detectors.coverage import missing_parts
from headrace.contracts.drift.detectors.precision import fine_marks, nulls, precision_changes
from headrace.contracts.drift.detectors.renames import renames
from headrace.contracts.drift.detectors.repeated_rows import duplicates, seen_before, stale_rows
from headrace.contracts.drift.detectors.sentinels import sentinels
from headrace.contracts.drift.detectors.stuck_readings import frozen, most_marks, run_marks
from headrace.contracts.drift.detectors.swaps import swaps
from headrace.contracts.drift.detectors.units import unit_changes
from headrace.contracts.drift.detectors.unreadable_text import written_otherwise
from headrace.contracts.drift.detectors.zones import zone_shifts
from headrace.contracts.drift.findings import Finding
from headrace.contracts.drift.hypothesis_trial import Case
from headrace.contracts.drift.profile import Profile

LEAST_HISTORY = 14  # batches before anything is said

_COLUMN_CHANGES: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    unit_changes,
    swaps,
    zone_shifts,
    sentinels,
    frozen,
    level_changes,
    precision_changes,
    nulls,
)


@dataclass(frozen=True)
class Examined:
    """Return changes of meaning, most severe first, and the marks to compare later batches with.

    `notes` say what was not considered: detectors that failed, columns that could not be read.
    """

    findings: tuple[Finding, ...]
    marks: Mapping[str, float]
    notes: tuple[str, ...] = ()


def examine(
    look: Look, reference: Reference, text: Mapping[str, pa.Array] | None = None
) -> Examined:
    """Hold a batch against the ones before; nothing is said before there are `LEAST_HISTORY`.

    Args:
        look: the batch.
        reference: the profiles of the batches before it.
        text: of a batch that the contract refuses, the delivered text of every column.
    """
    case = Case(look, reference, text or {})
    findings, marks = _findings(case), _marks(case)
    return Examined(findings, marks, (*_unexamined(look), *case.notes))


def detect(
    look: Look, reference: Reference, text: Mapping[str, pa.Array] | None = None
) -> tuple[Finding, ...]:
    """The findings of `examine`."""
    return _findings(Case(look, reference, text or {}))


def _findings(case: Case) -> tuple[Finding, ...]:
    if case.reference.batches < LEAST_HISTORY:
        return ()
    renamed = _detected(renames, case)
    unread = _detected(written_otherwise, case)
    if renamed or unread:
        return (*renamed, *unread)
    columns = best([f for change in _COLUMN_CHANGES for f in _detected(change, case)])
    batch = [*_detected(stale_rows, case), *_detected(duplicates, case)]
    if not any(f.kind in {"zone_shift", "swap", "unit_change"} for f in columns):
        batch += _detected(missing_parts, case)
    return tuple(sorted([*columns, *batch], key=lambda f: -f.weight))


def _detected(change: Callable[[Case], Iterator[Finding]], case: Case) -> list[Finding]:
    """The findings of one detector; none, and a note, if it raises."""
    name = f"the detector {change.__name__.lstrip('_')}"
    return case.guarded(name, lambda: list(change(case)), [])


def _unexamined(look: Look) -> list[str]:
    """Columns and rules that nothing was asked of."""
    notes = [
        f"the rule {name} could not be evaluated: {why}; it was not considered"
        for name, why in look.ruled.failures.items()
    ]
    if look.untyped:
        names = ", ".join(sorted(look.untyped))
        notes.append(f"cells of {names} could not be read in their type: nothing was compared")
    return notes


def _marks(case: Case) -> dict[str, float]:
    return case.guarded("comparing with the batches before", lambda: _marks_of(case), {})


def _marks_of(case: Case) -> dict[str, float]:
    look = case.look
    marks = {**case.fit.marks, **run_marks(look), **most_marks(look), **fine_marks(look)}
    if case.reference.batches and case.look.rows:
        marks["seen"] = float(seen_before(case.look, case.reference).mean())
    return marks


def best(findings: Sequence[Finding]) -> list[Finding]:
    """Of findings about the same columns the one that explains most."""
    kept: list[Finding] = []
    for finding in sorted(findings, key=lambda f: -f.weight):
        taken = {name for other in kept for name in other.columns}
        if not taken.intersection(finding.columns):
            kept.append(finding)
    return kept


def marked(profile: Profile, look: Look, reference: Reference) -> Profile:
    """The batch's profile with its marks, as later batches will be held against it."""
    return replace(profile, marks=_marks(Case(look, reference)))

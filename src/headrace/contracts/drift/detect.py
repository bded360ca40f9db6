"""Detection of semantic changes in one batch.

Most findings need two things: the batch is unusual compared with earlier batches, and undoing a
hypothetical change, such as of a unit, makes it usual again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from headrace.contracts.drift.baseline import Baseline
from headrace.contracts.drift.batch_view import BatchView
from headrace.contracts.drift.detectors.codes.broken_dependencies import broken_dependencies
from headrace.contracts.drift.detectors.codes.categories import level_changes
from headrace.contracts.drift.detectors.codes.level_counts import level_counts
from headrace.contracts.drift.detectors.coverage import missing_parts
from headrace.contracts.drift.detectors.precision import fine_marks, nulls, precision_changes
from headrace.contracts.drift.detectors.renames import renames
from headrace.contracts.drift.detectors.repeated_rows import (
    copied_rows,
    duplicates,
    in_earlier_batches,
    stale_rows,
)
from headrace.contracts.drift.detectors.sentinels import sentinels
from headrace.contracts.drift.detectors.signs import sign_changes
from headrace.contracts.drift.detectors.stuck_readings import frozen, most_marks, run_marks
from headrace.contracts.drift.detectors.swaps import swaps
from headrace.contracts.drift.detectors.units import unit_changes
from headrace.contracts.drift.detectors.value_shares import repeated_values
from headrace.contracts.drift.detectors.wrong_delivery import key_shifts, wrong_period
from headrace.contracts.drift.detectors.zones import zone_shifts
from headrace.contracts.drift.file_form import file_form, written_otherwise
from headrace.contracts.drift.findings import ACTIONS, DriftFinding
from headrace.contracts.drift.hypothesis_trial import DriftCase
from headrace.contracts.drift.profile import BatchProfile
from headrace.contracts.drift.unexplained import unusual

LEAST_HISTORY = 14  # earlier batches required before findings are reported

# Headlines in the order in which they are shown. What is the wrong delivery comes first, then its
# structure, then the meaning of columns, then mere distributions.
_ORDER = (
    frozenset({"file_form", "rename", "decimal_comma"}),
    frozenset({"repeated_delivery", "wrong_period", "key_shift"}),
    frozenset({"repeated_rows", "truncation"}),
    frozenset(ACTIONS) - {"unusual", "far_from_usual", "dependency", "new_level", "duplicates"},
)

_COLUMN_CHANGES: tuple[Callable[[DriftCase], Iterator[DriftFinding]], ...] = (
    unit_changes,
    swaps,
    zone_shifts,
    sentinels,
    frozen,
    repeated_values,
    sign_changes,
    level_changes,
    level_counts,
    broken_dependencies,
    precision_changes,
    nulls,
)

_WRONG_DELIVERIES: tuple[Callable[[DriftCase], Iterator[DriftFinding]], ...] = (
    stale_rows,
    wrong_period,
    key_shifts,
    copied_rows,
)


@dataclass(frozen=True)
class Examination:
    """Findings of one batch, most severe first, and its marks, which later batches compare with.

    `notes` list what was not examined: detectors that failed and columns that could not be read.
    """

    findings: tuple[DriftFinding, ...]
    marks: Mapping[str, float]
    notes: tuple[str, ...] = ()


def examine(
    look: BatchView, reference: Baseline, text: Mapping[str, pa.Array] | None = None
) -> Examination:
    """Compare a batch with earlier ones; no findings until there are `LEAST_HISTORY` of them.

    Args:
        look: the batch.
        reference: the baseline built from the batches before it.
        text: the delivered text of every column, if the contract rejects the batch.
    """
    case = DriftCase(look, reference, text or {})
    findings, marks = _findings(case), _marks(case)
    return Examination(findings, marks, (*_unexamined(look), *case.notes))


def detect(
    look: BatchView, reference: Baseline, text: Mapping[str, pa.Array] | None = None
) -> tuple[DriftFinding, ...]:
    """Return only the findings of `examine`."""
    return _findings(DriftCase(look, reference, text or {}))


def _findings(case: DriftCase) -> tuple[DriftFinding, ...]:
    if case.reference.batches < LEAST_HISTORY:
        return ()
    unreadable = _detected(file_form, case) or [
        *_detected(renames, case),
        *_detected(written_otherwise, case),
    ]
    if unreadable:
        return tuple(unreadable)
    batch = [f for change in _WRONG_DELIVERIES for f in _detected(change, case)]
    if any(f.kind == "repeated_delivery" for f in batch):
        return _ordered(batch)
    is_other_period = any(f.kind == "wrong_period" for f in batch)
    columns = best([f for change in _COLUMN_CHANGES for f in _detected(change, case)])
    if is_other_period:
        columns = [f for f in columns if f.kind != "zone_shift"]
    batch += _detected(duplicates, case)
    if not is_other_period and not any(
        f.kind in {"zone_shift", "swap", "unit_change"} for f in columns
    ):
        batch += _detected(missing_parts, case)
    findings = [*columns, *batch]
    explained = {name for f in findings for name in f.columns}
    of_batch = any(not f.columns and f.kind != "duplicates" for f in findings) or is_other_period
    if not of_batch:
        findings += [f for f in _detected(unusual, case) if not explained.intersection(f.columns)]
    return _ordered(findings)


def _ordered(findings: Sequence[DriftFinding]) -> tuple[DriftFinding, ...]:
    """Sort by class of headline, then by weight."""

    def place(finding: DriftFinding) -> int:
        classes = (at for at, kinds in enumerate(_ORDER) if finding.kind in kinds)
        return next(classes, len(_ORDER))

    return tuple(sorted(findings, key=lambda f: (place(f), -f.weight)))


def _detected(
    change: Callable[[DriftCase], Iterator[DriftFinding]], case: DriftCase
) -> list[DriftFinding]:
    """Run one detector; return no findings, and add a note, if it raises."""
    name = f"the detector {change.__name__.lstrip('_')}"
    return case.guarded(name, lambda: list(change(case)), [])


def _unexamined(look: BatchView) -> list[str]:
    """List the columns and rules that could not be examined."""
    notes = [
        f"the rule {name} could not be evaluated: {why}; it was not considered"
        for name, why in look.ruled.failures.items()
    ]
    if look.untyped:
        names = ", ".join(sorted(look.untyped))
        notes.append(f"cells of {names} could not be read in their type: nothing was compared")
    return notes


def _marks(case: DriftCase) -> dict[str, float]:
    return case.guarded("comparing with the batches before", lambda: _marks_of(case), {})


def _marks_of(case: DriftCase) -> dict[str, float]:
    look = case.look
    marks = {
        **case.fit.marks,
        **case.statistics,
        **run_marks(look),
        **most_marks(look),
        **fine_marks(look),
    }
    if case.reference.batches and case.look.rows:
        marks["seen"] = float(in_earlier_batches(case.look, case.reference).mean())
    return marks


def best(findings: Sequence[DriftFinding]) -> list[DriftFinding]:
    """Keep, among findings that share a column, only the one with the greatest weight."""
    best_findings: list[DriftFinding] = []
    for finding in sorted(findings, key=lambda f: -f.weight):
        explained = {name for other in best_findings for name in other.columns}
        if not explained.intersection(finding.columns):
            best_findings.append(finding)
    return best_findings


def marked(profile: BatchProfile, look: BatchView, reference: Baseline) -> BatchProfile:
    """Return the batch's profile with its marks added, for comparison with later batches."""
    return replace(profile, marks=_marks(DriftCase(look, reference)))

"""Evidence from a window's data, without labels, and the window's use in later baselines."""

from collections.abc import Sequence
from dataclasses import replace

from headrace.monitoring.decisions.policy import Detection
from headrace.monitoring.detectors.column_relations import Term
from headrace.monitoring.detectors.data_faults import broken_columns, broken_relation, repeated_rows
from headrace.monitoring.detectors.drift import population, volume
from headrace.monitoring.detectors.measures import MeasuredWindow
from headrace.monitoring.evidence.acceptance import SIZE, Accepted, covers, marked, present, topic
from headrace.monitoring.evidence.model import Evidence, alarms

NO_ACCEPTANCES: Accepted = {}


def judge_data(
    current: MeasuredWindow,
    past: Sequence[MeasuredWindow],
    terms: Sequence[Term],
    settings: Detection,
    *,
    faulty: bool = False,
    accepted: Accepted = NO_ACCEPTANCES,
) -> tuple[list[Evidence], MeasuredWindow]:
    """Return the evidence of a window, and the window as later windows use it in baselines.

    `faulty`: True if its tables have a known fault, which excludes the window from the baseline.
    `accepted`: findings that a person accepted, which do not exclude it.
    """
    broken = broken_columns(current, past, settings)
    rows = [*volume(current, past, settings), *repeated_rows(current, past, settings)]
    faulty_columns = frozenset(finding.subject for finding in broken)
    current = replace(current, faulty_columns=faulty_columns, is_reference=not (rows or faulty))
    relation = broken_relation(current, past, terms, settings)
    shifts = population(current, past, settings)
    findings = [*broken, *rows, *relation, *shifts]
    if accepted := present(findings, accepted):
        findings = marked(findings, accepted)
        right = [finding for finding in findings if finding.accepted]
        broken, rows, relation = (_not_in(accepted, group) for group in (broken, rows, relation))
        faulty_columns = frozenset(finding.subject for finding in broken)
        current = _renewed(
            replace(current, faulty_columns=faulty_columns, is_reference=not (rows or faulty)),
            right,
        )
    return findings, _excluded_from_baseline(current, past, broken, relation, shifts, settings)


def _not_in(accepted: Accepted, findings: Sequence[Evidence]) -> list[Evidence]:
    return [evidence for evidence in findings if not covers(accepted, evidence)]


def _renewed(current: MeasuredWindow, right: Sequence[Evidence]) -> MeasuredWindow:
    """Return the window as the new start of the baseline for the subjects of these findings."""
    columns = frozenset(evidence.columns[0] for evidence in right if evidence.columns)
    return replace(
        current,
        renewed=columns,
        row_count_accepted=any(topic(evidence) == SIZE for evidence in right),
    )


def _excluded_from_baseline(  # noqa: PLR0917
    current: MeasuredWindow,
    past: Sequence[MeasuredWindow],
    broken: Sequence[Evidence],
    relation: Sequence[Evidence],
    shifts: Sequence[Evidence],
    settings: Detection,
) -> MeasuredWindow:
    """Mark the parts of the window that are excluded from the baseline of later windows.

    Faulty columns are excluded; columns with a shift or a changed relation are not. After a very
    large shift, the rows belong to the baseline, but the distance does not count for later limits.
    Relations that changed very much are excluded, unless those of the last `settles` clean windows
    were all excluded.
    """
    gross = [evidence for evidence in relation if _grossly(evidence, settings)]
    since = [window for window in past if window.is_reference and window.profile.rows > 0][
        -settings.settles :
    ]
    settled = len(since) == settings.settles and not any(window.related for window in since)
    jumped = frozenset(alarm.subject for alarm in alarms(shifts) if _grossly(alarm, settings))
    if settled or not (broken or gross):
        return replace(current, jumped=jumped)
    faulty_columns = current.faulty_columns | {
        column for finding in gross for column in finding.columns[:1]
    }
    return replace(current, jumped=jumped, faulty_columns=faulty_columns, related=False)


def _grossly(finding: Evidence, settings: Detection) -> bool:
    return finding.statistic > settings.broken * finding.threshold


def cold(windows: Sequence[MeasuredWindow], settings: Detection) -> list[str]:
    """Return a note if the newest window has too few earlier clean windows for all limits."""
    if not windows or windows[-1].profile.rows == 0:
        return []
    clean_count = sum(
        window.is_reference and bool(window.profile.rows > 0) for window in windows[:-1]
    )
    words = f"clean windows before the newest: {clean_count}"
    if clean_count >= settings.min_history + settings.relation_windows:
        return []
    if clean_count >= settings.min_history:
        return [f"{words}; relations of columns are not evaluated yet"]
    return [f"{words}; fixed limits apply to columns until there are {settings.min_history}"]

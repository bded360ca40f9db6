"""Go through the windows of a monitor in order and gather the evidence of each.

Each run looks at all windows again from their profiles; what is decided of it is in `deciding`.
"""

from collections.abc import Sequence
from dataclasses import replace

from headrace.clock import duration
from headrace.monitoring.attribution import attribute
from headrace.monitoring.concept import Judged, judge_answers
from headrace.monitoring.decide import Decision
from headrace.monitoring.drift import (
    Seen,
    broken_columns,
    distance_limits,
    look,
    population,
    shapes_of,
    volume,
)
from headrace.monitoring.evidence import Evidence, Window, alarms
from headrace.monitoring.outputs import output_evidence
from headrace.monitoring.policy import Policy
from headrace.monitoring.profiles import Profiles
from headrace.monitoring.scored import Answers
from headrace.monitoring.slots import Slot, by_day, slot_evidence, stale_evidence
from headrace.monitoring.spec import MonitorSpec, WindowResult


def _carried(moved: Sequence[Evidence]) -> tuple[str, ...]:
    """The columns of these findings: what a quorum of notices, which names no cause, is about."""
    return tuple(dict.fromkeys(name for one in moved for name in one.columns or (one.subject,)))


def gather(
    spec: MonitorSpec,
    laid: Sequence[Window],
    profiles: Profiles,
    *,
    slots: Sequence[Slot],
    answers: Answers,
    policy: Policy,
) -> list[WindowResult]:
    """The evidence of each window, from it and windows before it only; nothing is decided yet."""
    past: list[Seen] = []
    tables = by_day(slots)
    found: list[WindowResult] = []
    settings = policy.detection
    max_age = {table: duration(text) for table, text in spec.max_age.items()}
    judged = judge_answers(answers, laid, settings)
    given = output_evidence(answers, laid, settings)
    for at, window in enumerate(laid):
        gates = slot_evidence(window, laid[:at], tables, settings.quarantined_floor)
        stale = stale_evidence(window, spec.closes(window), slots, max_age)
        seen = look(window, profiles.roll(window.first, window.end), past, settings)
        broken = broken_columns(seen, past, settings)
        rows = volume(seen, past, settings)
        faulty = bool(rows) or any(one.kind == "data_fault" for one in gates)
        seen = replace(seen, soiled=frozenset(one.subject for one in broken), whole=not faulty)
        limits = distance_limits(seen, past, settings)
        moved = population(seen, limits, settings)
        model = judged.get(window, Judged(None, ()))
        jumped = frozenset(one.subject for one in alarms(moved))
        evidence = (*gates, *stale, *broken, *rows, *moved, *given.get(window, ()), *model.evidence)
        cause = attribute(evidence, spec.label_derived)
        found.append(
            WindowResult(
                window,
                evidence,
                Decision("none", ()),
                int(seen.profile.rows),
                {column: seen.distance[column] / limit for column, limit in limits.items()},
                model.scored,
                cause,
                shapes_of(seen, past, cause.columns or _carried(moved), settings),
            )
        )
        past.append(replace(seen, jumped=jumped))
    return found

"""Judge the data of one window: all there is to say without labels, and what it leaves to later."""

from collections.abc import Sequence
from dataclasses import replace

from headrace.monitoring.decisions.policy import Detection
from headrace.monitoring.detectors.column_relations import Term
from headrace.monitoring.detectors.data_faults import broken_columns, broken_relation, repeated_rows
from headrace.monitoring.detectors.drift import population, volume
from headrace.monitoring.detectors.measures import Seen
from headrace.monitoring.evidence.acceptance import SIZE, Accepted, covers, marked, present, topic
from headrace.monitoring.evidence.model import Evidence, alarms

NOTHING: Accepted = {}


def judge_data(
    seen: Seen,
    past: Sequence[Seen],
    terms: Sequence[Term],
    settings: Detection,
    *,
    faulty: bool = False,
    accepted: Accepted = NOTHING,
) -> tuple[list[Evidence], Seen]:
    """The evidence of a window from the windows before it, and the window as later ones see it.

    `faulty`: something is known to be wrong with its tables, so that it is no reference.
    `accepted`: what a person says is as it should be, so that it is one.
    """
    broken = broken_columns(seen, past, settings)
    rows = [*volume(seen, past, settings), *repeated_rows(seen, past, settings)]
    soiled = frozenset(one.subject for one in broken)
    seen = replace(seen, soiled=soiled, whole=not (rows or faulty))
    relation = broken_relation(seen, past, terms, settings)
    moved = population(seen, past, settings)
    found = [*broken, *rows, *relation, *moved]
    if accepted := present(found, accepted):
        found = marked(found, accepted)
        right = [one for one in found if one.accepted]
        broken, rows, relation = (_not_in(accepted, some) for some in (broken, rows, relation))
        soiled = frozenset(one.subject for one in broken)
        seen = _renewed(replace(seen, soiled=soiled, whole=not (rows or faulty)), right)
    return found, _left_to_later(seen, past, broken, relation, moved, settings)


def _not_in(accepted: Accepted, found: Sequence[Evidence]) -> list[Evidence]:
    return [evidence for evidence in found if not covers(accepted, evidence)]


def _renewed(seen: Seen, right: Sequence[Evidence]) -> Seen:
    """The window with which the reference of these findings begins anew."""
    columns = frozenset(evidence.columns[0] for evidence in right if evidence.columns)
    return replace(
        seen, renewed=columns, resized=any(topic(evidence) == SIZE for evidence in right)
    )


def _left_to_later(  # noqa: PLR0917
    seen: Seen,
    past: Sequence[Seen],
    broken: Sequence[Evidence],
    relation: Sequence[Evidence],
    moved: Sequence[Evidence],
    settings: Detection,
) -> Seen:
    """What is broken is no reference later; what moved, or relates differently, is one.

    Where it went very far its rows are the new normal, but how far says nothing about what is
    usual; columns that relate very differently are no reference, unless all of late are like them.
    """
    gross = [evidence for evidence in relation if _grossly(evidence, settings)]
    since = [one for one in past if one.whole and one.profile.rows > 0][-settings.settles :]
    settled = len(since) == settings.settles and not any(one.related for one in since)
    jumped = frozenset(alarm.subject for alarm in alarms(moved) if _grossly(alarm, settings))
    if settled or not (broken or gross):
        return replace(seen, jumped=jumped)
    soiled = seen.soiled | {column for one in gross for column in one.columns[:1]}
    return replace(seen, jumped=jumped, soiled=soiled, related=False)


def _grossly(one: Evidence, settings: Detection) -> bool:
    return one.statistic > settings.broken * one.threshold


def cold(seen: Sequence[Seen], settings: Detection) -> list[str]:
    """In words, how far the newest window could be judged by a past of its own."""
    if not seen or seen[-1].profile.rows == 0:
        return []
    some = sum(one.whole and bool(one.profile.rows > 0) for one in seen[:-1])
    words = f"{some} clean windows before the newest"
    if some >= settings.min_history + settings.relation_windows:
        return []
    if some >= settings.min_history:
        return [f"{words}: relations of columns are not judged yet"]
    return [f"{words}: columns are held to fixed limits, to their own after {settings.min_history}"]

"""Detector for renamed columns: a missing column, and an undeclared one with its content."""

from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from itertools import combinations

import pyarrow as pa

from headrace.contracts.drift.batch_view import BatchView
from headrace.contracts.drift.findings import DriftFinding
from headrace.contracts.drift.fit_scores import badness, fit
from headrace.contracts.drift.hypothesis_trial import DriftCase
from headrace.contracts.drift.view_reader import readable, timed
from headrace.contracts.model import Field

_LIKE_NAMES = 0.3  # cost reduction for identical names, as a share of the rows
_WORST = 0.7  # greatest cost of a match, as a share of the rows


def renames(case: DriftCase) -> Iterator[DriftFinding]:
    missing = [f for f in case.look.contract.delivered if f.name not in case.look.arrays]
    declared = {n for f in case.look.contract.delivered for n in (f.name, *f.aliases)}
    strange = {name: text for name, text in case.text.items() if name not in declared}
    if not missing or not strange:
        return
    for old, (new, misfits) in matched(case, missing, strange).items():
        rows = case.look.rows
        sentence = (
            f"{old} is missing, and the undeclared column {new} looks like it:"
            f" {max(0.0, 1 - misfits / max(rows, 1)):.0%} of what is known of {old} holds for it."
        )
        evidence = {"old": old, "new": new, "misfits": round(misfits, 1)}
        yield DriftFinding("rename", (old,), sentence, evidence, weight=float(rows))


def matched(
    case: DriftCase, missing: list[Field], strange: Mapping[str, pa.Array]
) -> dict[str, tuple[str, float]]:
    """Return {missing column: (undeclared column, misfitting rows)}.

    Columns are first paired one by one, cheapest pair first. Similar columns, such as two times of
    day, differ only in their relations to other columns, so pairs are then exchanged as long as
    that improves the fit of the whole batch.
    """
    rows = case.look.rows
    single = {
        (f.name, new): _single_cost(case, f, text) - _LIKE_NAMES * rows * _likeness(f.name, new)
        for f in missing
        for new, text in strange.items()
    }
    pairs: dict[str, str] = {}
    for (old, new), cost in sorted(single.items(), key=lambda pair: pair[1]):
        if old not in pairs and new not in pairs.values() and cost <= _WORST * rows:
            pairs[old] = new
    fields = {f.name: f for f in missing}
    pairs = _exchange_pairs(case, fields, strange, pairs)
    return {old: (new, max(0.0, single[old, new])) for old, new in pairs.items()}


def _single_cost(case: DriftCase, field: Field, text: pa.Array) -> float:
    """Return the cost, in rows, of reading `text` as `field`: unreadable cells and worse marks."""
    values = readable(field, text)
    unread = int(values.null_count) - int(text.null_count)
    look = BatchView(case.look.contract, {field.name: values}, case.look.lines, case.look.start)
    excess = badness(fit(look, case.reference, [field.name]), case.reference, look.rows)
    # Several marks may measure the same loss, so only the worst counts; the sum breaks ties.
    worst = max(excess.values(), default=0.0)
    shape = _shape_cost(case, look, field)
    return unread + worst + 0.01 * sum(excess.values()) + shape


def _shape_cost(case: DriftCase, look: BatchView, field: Field) -> float:
    """Return a cost for unlike distributions, so that the more similar column is preferred."""
    marks = fit(look, case.reference, [field.name]).marks
    names = ("shape", "support", "present")
    return look.rows * 0.2 * sum(_mark_difference(case, f"{n}:{field.name}", marks) for n in names)


def _mark_difference(case: DriftCase, mark: str, marks: Mapping[str, float]) -> float:
    earlier = case.reference.marks(mark)
    if mark not in marks or not len(earlier):
        return 0.0
    return abs(float(earlier.mean()) - marks[mark])


def _exchange_pairs(
    case: DriftCase,
    fields: Mapping[str, Field],
    strange: Mapping[str, pa.Array],
    pairs: dict[str, str],
) -> dict[str, str]:
    def cost(mapping: Mapping[str, str]) -> float:
        arrays = {old: readable(fields[old], strange[new]) for old, new in mapping.items()}
        look = timed(case.look.with_arrays(arrays))
        return sum(badness(fit(look, case.reference), case.reference, look.rows).values())

    best = cost(pairs)
    better = True
    while better and best > 0:
        better = False
        for first, second in combinations(sorted(pairs), 2):
            if fields[first].type == fields[second].type:
                exchanged = {**pairs, first: pairs[second], second: pairs[first]}
                now = cost(exchanged)
                if now < best - 0.5:
                    pairs, best, better = exchanged, now, True
    return pairs


def _likeness(first: str, second: str) -> float:
    a, b = first.casefold(), second.casefold()
    if a.startswith(b) or b.startswith(a):
        return 0.9
    ratio = SequenceMatcher(None, a, b).ratio()
    return ratio if ratio > 0.6 else 0.0

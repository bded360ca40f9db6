"""Columns that are missing, and undeclared ones that hold what they held."""

from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from itertools import combinations

import pyarrow as pa

from headrace.contracts.drift.batch_view import Look
from headrace.contracts.drift.findings import Finding
from headrace.contracts.drift.fit_scores import badness, fit
from headrace.contracts.drift.hypothesis_trial import Case
from headrace.contracts.drift.view_reader import readable, timed
from headrace.contracts.model import Field

_LIKE_NAMES = 0.3  # of the rows, that a name which reads the same is worth
_WORST = 0.7  # of the rows may misfit before it is no match at all


def renames(case: Case) -> Iterator[Finding]:
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
        yield Finding("rename", (old,), sentence, evidence, weight=float(rows))


def matched(
    case: Case, missing: list[Field], strange: Mapping[str, pa.Array]
) -> dict[str, tuple[str, float]]:
    """{missing column: (undeclared one, rows that misfit)}; best pairs first, then exchanges.

    Columns much alike, such as two times of a day, are told apart by what holds between columns:
    so pairs of the assignment are exchanged as long as the whole fits better.
    """
    rows = case.look.rows
    single = {
        (f.name, new): _alone(case, f, text) - _LIKE_NAMES * rows * _likeness(f.name, new)
        for f in missing
        for new, text in strange.items()
    }
    found: dict[str, str] = {}
    for (old, new), cost in sorted(single.items(), key=lambda pair: pair[1]):
        if old not in found and new not in found.values() and cost <= _WORST * rows:
            found[old] = new
    fields = {f.name: f for f in missing}
    found = _improved(case, fields, strange, found)
    return {old: (new, max(0.0, single[old, new])) for old, new in found.items()}


def _alone(case: Case, field: Field, text: pa.Array) -> float:
    """Rows that misfit if this were the column: what cannot be read, and marks of it alone."""
    values = readable(field, text)
    unread = int(values.null_count) - int(text.null_count)
    look = Look(case.look.contract, {field.name: values}, case.look.lines, case.look.start)
    lost = badness(fit(look, case.reference, [field.name]), case.reference, look.rows)
    # The same loss seen by several marks is one loss; the rest only breaks ties.
    worst = max(lost.values(), default=0.0)
    shape = _unlike(case, look, field)
    return unread + worst + 0.01 * sum(lost.values()) + shape


def _unlike(case: Case, look: Look, field: Field) -> float:
    """A part of a row for each difference of the distributions, to prefer the nearer column."""
    marks = fit(look, case.reference, [field.name]).marks
    names = ("shape", "support", "present")
    return look.rows * 0.2 * sum(_short(case, f"{n}:{field.name}", marks) for n in names)


def _short(case: Case, mark: str, marks: Mapping[str, float]) -> float:
    earlier = case.reference.marks(mark)
    if mark not in marks or not len(earlier):
        return 0.0
    return abs(float(earlier.mean()) - marks[mark])


def _improved(
    case: Case, fields: Mapping[str, Field], strange: Mapping[str, pa.Array], found: dict[str, str]
) -> dict[str, str]:
    def cost(mapping: Mapping[str, str]) -> float:
        arrays = {old: readable(fields[old], strange[new]) for old, new in mapping.items()}
        look = timed(case.look.with_arrays(arrays))
        return sum(badness(fit(look, case.reference), case.reference, look.rows).values())

    best = cost(found)
    better = True
    while better and best > 0:
        better = False
        for one, other in combinations(sorted(found), 2):
            if fields[one].type == fields[other].type:
                tried = {**found, one: found[other], other: found[one]}
                now = cost(tried)
                if now < best - 0.5:
                    found, best, better = tried, now, True
    return found


def _likeness(one: str, other: str) -> float:
    a, b = one.casefold(), other.casefold()
    if a.startswith(b) or b.startswith(a):
        return 0.9
    ratio = SequenceMatcher(None, a, b).ratio()
    return ratio if ratio > 0.6 else 0.0

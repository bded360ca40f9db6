"""Detector for rows that no longer agree with the values that their key had in earlier batches."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.drift.batch_view import Bools, ViewColumn
from headrace.contracts.drift.findings import DriftFinding
from headrace.contracts.drift.hypothesis_trial import DriftCase, HypothesisTrial, columns_of
from headrace.contracts.drift.statistics import LEAST_PAST

_LEAST_ROWS = 2.0  # least misfitting rows beyond the usual
_EVIDENCE = 4.0  # the same, for an explanation
_LOOSE = 0.3  # share of misfits in an earlier batch from which a dependency explains nothing
_SHARE = 0.04  # the same as a share of the rows that have a key with an earlier value
_COVERED = 0.8  # least share of the misfitting rows that two categories must cover
_SURE = 0.1  # least share of misfitting rows to block without an explanation
_STEADY = 0.05  # greatest share of misfits in an earlier batch, for the same
_UNLIKELY = 5.0  # least growth of the share of misfits, in standard errors, for the same
_MANY = 12  # least values far from their key's last one to block without an explanation
_SHIFTED = 10  # least rows of a batch whose rows may have been shifted


def broken_dependencies(case: DriftCase) -> Iterator[DriftFinding]:
    """Report exchanged or merged categories, shifted rows, or that a dependency no longer holds."""
    marks = {mark: rows for mark, rows in case.excess.items() if _is_broken(case, mark, rows)}
    if not marks:
        return
    explained = [*_exchanged_codes(case, marks), *_shifted_rows(case, marks)]
    yield from explained
    if not explained:
        yield from _unexplained(case, marks)


def _is_broken(case: DriftCase, mark: str, rows: float) -> bool:
    if not mark.startswith(("keyed:", "far:")) or mark not in case.fit.tested:
        return False
    if 1 - float(case.reference.marks(mark).min()) > _LOOSE:
        return False
    return rows >= max(_LEAST_ROWS, _SHARE * float(case.fit.tested[mark].sum()))


def _exchanged_codes(case: DriftCase, marks: dict[str, float]) -> Iterator[DriftFinding]:
    """Yield a finding for two categories that are exchanged, or one that is merged into another."""
    attempts: set[tuple[str, int, int]] = set()
    for mark in sorted(marks, key=lambda mark: -marks[mark]):
        bad = case.fit.misfit[mark]
        for name in sorted(columns_of(mark, case.look)):
            column = case.look.columns[name]
            if column.kind != "text":
                continue
            for first, second in _pairs(case, column, bad):
                if (name, first, second) not in attempts:
                    attempts.add((name, first, second))
                    yield from _code_findings(case, column, (first, second), bad)


def _pairs(case: DriftCase, column: ViewColumn, bad: Bools) -> list[tuple[int, int]]:
    """Return pairs of categories that may be confused: the two of most misfitting rows.

    If nearly all of these rows have one category, it may contain another one that is missing.
    """
    tokens, counts = np.unique(column.tokens[bad & column.present], return_counts=True)
    levels = np.unique(column.tokens[column.present])
    pool = case.reference.pools.get(column.name)
    if len(levels) < 2 or pool is None or pool.coarse or not len(tokens):
        return []
    # A category that was never seen is another matter.
    is_known = np.isin(tokens, pool.values)
    tokens, counts = tokens[is_known], counts[is_known]
    if not len(tokens):
        return []
    order = np.argsort(-counts, kind="stable")
    total = int((bad & column.present).sum())
    if len(order) > 1 and counts[order[:2]].sum() >= _COVERED * total:
        return [(int(tokens[order[0]]), int(tokens[order[1]]))]
    if counts[order[0]] < _COVERED * total:
        return []
    missing = np.setdiff1d(pool.values[pool.batches >= 0.9 * case.reference.batches], levels)
    return [(int(tokens[order[0]]), int(token)) for token in missing[:4]]


def _code_findings(
    case: DriftCase, column: ViewColumn, pair: tuple[int, int], bad: Bools
) -> Iterator[DriftFinding]:
    texts = [case.look.names.get(t) or case.reference.names.get(t) for t in pair]
    if None in texts:
        return
    array = case.look.arrays[column.name]
    first, second = (column.tokens == token for token in pair)
    words = [pa.scalar(text, pa.string()).cast(array.type) for text in texts]
    kind = "recoding" if second.any() else "merge"
    rows = first | second if second.any() else first & bad
    other = pc.if_else(pa.array(rows & first), words[1], array)
    if second.any():
        other = pc.if_else(pa.array(second), words[0], other)
    trial = case.try_out({column.name: other})
    if not trial.explains or trial.before < _EVIDENCE:
        return
    change = "look exchanged" if kind == "recoding" else "look merged into the former"
    sentence = (
        f"{texts[0]!r} and {texts[1]!r} in {column.name} {change}: put back in"
        f" {int(rows.sum())} rows, {trial.words}"
    )
    evidence = {"levels": texts, "rows": int(rows.sum()), **trial.evidence}
    lines = tuple(case.look.lines[rows].tolist())
    # Outweighs a change of the values that depend on the codes.
    yield DriftFinding(kind, (column.name,), sentence, evidence, lines, 2.0 * trial.gain + 1.0)


def _shifted_rows(case: DriftCase, marks: dict[str, float]) -> Iterator[DriftFinding]:
    """Yield a finding for the column whose values fit if they are back by one row."""
    if case.look.rows < _SHIFTED:
        return
    best: tuple[HypothesisTrial, str, int] | None = None
    aside = set(case.look.contract.primary_key)
    for name in sorted({name for mark in marks for name in columns_of(mark, case.look)} - aside):
        array = case.look.arrays[name]
        for by in (1, -1):
            back = array.take(pa.array(np.roll(np.arange(len(array)), -by)))
            trial = case.try_out({name: back})
            if (
                trial.explains
                and trial.before >= _EVIDENCE
                and (best is None or trial.rank > best[0].rank)
            ):
                best = (trial, name, by)
    if best is not None:
        trial, name, by = best
        direction = "down" if by > 0 else "up"
        sentence = (
            f"The values of {name} are one row too far {direction}: moved back, {trial.words}"
        )
        evidence = {"rows": by, **trial.evidence}
        yield DriftFinding("shifted_rows", (name,), sentence, evidence, weight=trial.gain)


def _unexplained(case: DriftCase, marks: dict[str, float]) -> Iterator[DriftFinding]:
    """Yield the dependency that most rows break, if it hardly ever broke before."""
    worst: tuple[float, str] | None = None
    for mark, excess in marks.items():
        earlier = case.reference.marks(mark)
        tested = int(case.fit.tested[mark].sum())
        share = float(case.fit.misfit[mark].sum()) / tested
        usual = 1 - float(earlier.min())
        error = np.sqrt(max(usual, 1 / (tested * len(earlier))) / tested)
        if usual > _STEADY or share < _SURE or share - usual < _UNLIKELY * error:
            continue
        if worst is None or excess > worst[0]:
            worst = (excess, mark)
    if worst is not None:
        yield _finding(case, worst[1])


def _finding(case: DriftCase, mark: str) -> DriftFinding:
    name, _, key = mark.partition(":")[2].partition("<")
    names = key.split("+")
    rows, tested = case.fit.misfit[mark], case.fit.tested[mark]
    at = int(np.flatnonzero(rows)[0])
    where = ", ".join(f"{n} {case.look.arrays[n][at].as_py()!r}" for n in names)
    change = "are far from" if mark.startswith("far:") else "differ from"
    usual = 1 - float(case.reference.marks(mark).min())
    sentence = (
        f"{int(rows.sum())} of {int(tested.sum())} values of {name} {change} the last one for the"
        f" same {' and '.join(names)} (for example {where}); in the batches before at most"
        f" {usual:.0%} did."
    )
    evidence = {"rows": int(rows.sum()), "share": float(rows.sum() / tested.sum()), "usual": usual}
    lines = tuple(case.look.lines[rows].tolist())
    weight = 0.4 * float(rows.sum())
    is_sure = mark.startswith("keyed:") or int(tested.sum()) >= _MANY
    kind = "dependency" if is_sure else "unusual"
    for column in (case.look.columns[n] for n in (name, *names)):
        if is_sure and _became_constant(case, column):
            kind = "frozen" if column.is_number else "constant"
            value = case.look.arrays[column.name][at].as_py()
            sentence = f"{column.name} is {value!r} in all rows. {sentence}"
            return DriftFinding(kind, (column.name,), sentence, evidence, weight=weight)
    return DriftFinding(kind, (name, *names), sentence, evidence, lines, weight)


def _became_constant(case: DriftCase, column: ViewColumn) -> bool:
    """Return True if a column has a single value, which it had in no earlier batch."""
    mark = "most" if column.is_number else "top"
    past = case.reference.marks(f"{mark}:{column.name}")
    values = (column.values if column.is_number else column.tokens)[column.present]
    is_new = len(past) >= LEAST_PAST and float(past.max()) < 1
    return is_new and len(values) > 1 and bool((values == values[0]).all())

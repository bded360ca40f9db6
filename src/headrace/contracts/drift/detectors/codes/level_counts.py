"""Detectors for the categories of a text column: constant, missing, merged, or exchanged ones."""

from collections.abc import Iterator

import numpy as np

from headrace.contracts.drift.baseline import Baseline
from headrace.contracts.drift.batch_view import ViewColumn
from headrace.contracts.drift.findings import DriftFinding
from headrace.contracts.drift.fit_scores import LEAST_BATCHES, member
from headrace.contracts.drift.hypothesis_trial import DriftCase
from headrace.contracts.drift.statistics import LEAST_PAST, LEAST_ROWS, surprise

_FEW = 400  # most categories of a column that is examined
_UNLIKELY = 1e-6  # probability below which a missing category is not chance
_UNSEEN = 0.2  # least share of rows with categories that were never seen
_ROWS_OF_UNSEEN = 12  # least rows of a batch with several categories that were never seen
_USUAL = 0.95  # each earlier batch had at least this share of rows in known categories
_ALIKE = 0.9  # share of the unseen rows that an explanation must cover
_MANY = 8  # least missing rows of a category
_LOSS_SURPRISE = 2.0  # surprise from which a category's missing rows are reported
_LOSS_ERRORS = 5.5  # the same, in standard errors of a count
_BEYOND_PAST = 1.4  # the same, as a multiple of the greatest loss in an earlier batch
_LITTLE = 0.15  # greatest share of the expected rows, for the same


def level_counts(case: DriftCase) -> Iterator[DriftFinding]:
    for column in case.look.columns.values():
        pool = case.reference.pools.get(column.name)
        if column.kind != "text" or pool is None or case.reference.batches < LEAST_BATCHES:
            continue
        if int(column.present.sum()) < LEAST_ROWS or not len(pool.values):
            continue
        finding = _constant(case, column) or _unseen(case, column) or _fewer(case, column)
        if finding is not None:
            yield finding


def _text(case: DriftCase, token: int) -> str:
    return case.look.names.get(token) or case.reference.names.get(token) or "?"


def _constant(case: DriftCase, column: ViewColumn) -> DriftFinding | None:
    """Report a column with one value in all rows, if earlier batches make that unlikely."""
    tokens = column.tokens[column.present]
    top = case.reference.marks(f"top:{column.name}")
    if len(top) < LEAST_PAST or (tokens != tokens[0]).any():
        return None
    usual = float(top.max())
    if usual >= 1 or usual ** len(tokens) > _UNLIKELY:
        return None
    token = int(tokens[0])
    text = case.look.names.get(token, "?")
    rows = case.reference.marks("rows:")
    if len(rows) and case.look.rows <= usual * float(np.median(rows[-14:])) * 1.1:
        loss = _fewer(case, column)  # the other categories are missing, not replaced
        if loss is not None:
            return loss
    sentence = (
        f"{column.name} is {text!r} in all {len(tokens)} rows that have a value; in the batches"
        f" before its most frequent value had at most {usual:.0%}."
    )
    evidence = {"value": text, "usual": usual}
    weight = 3.0 * len(tokens)
    return DriftFinding("constant", (column.name,), sentence, evidence, weight=weight)


def _unseen(case: DriftCase, column: ViewColumn) -> DriftFinding | None:
    """Report categories that were never seen, in too many rows for new categories."""
    pool, marks = case.reference.pools[column.name], case.reference.marks(f"support:{column.name}")
    if pool.coarse or not len(marks):
        return None
    fresh = column.present & ~member(column, pool)
    share = float(fresh.sum() / column.present.sum())
    is_single = share == 1 and (column.tokens[fresh] == column.tokens[fresh][0]).all()
    if share < _UNSEEN + 2 * (1 - float(marks.min())) and not is_single:
        return None
    spellings = {_text(case, int(token)).strip().casefold() for token in pool.values}
    tokens, counts = np.unique(column.tokens[fresh], return_counts=True)
    texts = [_text(case, int(token)) for token in tokens]
    spelled = sum(
        int(n)
        for text, n in zip(texts, counts, strict=True)
        if text.strip().casefold() in spellings
    )
    examples = ", ".join(repr(text) for text in texts[:3])
    lines = () if share > _USUAL else tuple(case.look.lines[fresh].tolist())
    if spelled >= _ALIKE * counts.sum():
        kind = "recoding"
        words = "are known values in another spelling"
    elif len(tokens) == 1:
        if share < 1 or marks.min() < 1 - _UNSEEN:
            return None  # a new category or another name for a known one
        kind, words = "constant", "were never seen before"
    else:
        if len(column.tokens) < _ROWS_OF_UNSEEN:
            return None  # new categories, such as the teams of a season
        kind = "unseen_values"
        words = "were never seen before"
    sentence = (
        f"{share:.0%} of the values of {column.name} {words}: {examples}; in the batches before,"
        f" at most {1 - float(marks.min()):.0%} were new."
    )
    evidence = {"share": share, "examples": texts[:3]}
    # Two exchanged columns have unseen values too; that explains more.
    weight = (0.5 if kind == "unseen_values" else 3.0) * float(fresh.sum())
    return DriftFinding(kind, (column.name,), sentence, evidence, lines, weight)


def _fewer(case: DriftCase, column: ViewColumn) -> DriftFinding | None:
    """Report a category whose rows are missing; they may be in another category."""
    pool = case.reference.pools[column.name]
    if pool.coarse or len(pool.values) > _FEW:
        return None
    counts = _counts(column)
    expected = _expected(case.reference, column.name, pool.values)
    if expected is None:
        return None
    worst: tuple[float, int] | None = None
    totals = expected.sum(axis=1)
    current = np.array([counts.get(token, 0) for token in pool.values.tolist()], np.float64)
    losses = _losses(expected, current)
    for at in range(len(current)):
        past, now = expected[:, at], current[at]
        score = float(losses[at])
        if past.min() >= 1 and now < past.min():
            # On a holiday all categories have fewer rows: then the shares are usual.
            share = now / max(sum(counts.values()), 1)
            surprises = min(
                surprise("rows", past, float(now), case.look.rows),
                surprise("top", past / np.maximum(totals, 1), share, case.look.rows),
            )
            score = max(score, surprises / _LOSS_SURPRISE)
        if score >= 1 and (worst is None or score > worst[0]):
            worst = (score, at)
    if worst is None:
        return None
    return _loss_finding(case, column, expected, (worst[1], counts))


def _losses(expected: np.ndarray, current: np.ndarray) -> np.ndarray:
    """Return for each category how surely it lacks rows; from 1 it does.

    The count of a category is predicted by its share of the rows of earlier batches. The square
    root of a count has the same standard error whatever the count (Anscombe 1948): half, times the
    root of its overdispersion in earlier batches.
    """
    totals = expected.sum(axis=1, keepdims=True)
    predicted = totals * (expected.sum(axis=0) / max(expected.sum(), 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = ((expected - predicted) ** 2 / np.maximum(predicted, 1e-9)).mean(axis=0)
    error = 0.5 * np.sqrt(np.maximum(spread, 1.0))
    past = (np.sqrt(predicted) - np.sqrt(expected)) / error
    # Neither a small batch nor a great one, such as with the bookings of a group, is a loss.
    usual = np.minimum(
        current.sum() * expected.sum(axis=0) / max(expected.sum(), 1),
        np.median(expected[-14:], axis=0),
    )
    now = (np.sqrt(usual) - np.sqrt(current)) / error
    limit = np.maximum(_LOSS_ERRORS, _BEYOND_PAST * past.max(axis=0))
    scores: np.ndarray = np.where(current <= _LITTLE * usual, now / limit, 0.0)
    return scores


def _counts(column: ViewColumn) -> dict[int, int]:
    tokens, counts = np.unique(column.tokens[column.present], return_counts=True)
    return dict(zip(tokens.tolist(), counts.tolist(), strict=True))


def _expected(reference: Baseline, name: str, tokens: np.ndarray) -> np.ndarray | None:
    """Return rows of each category (columns) in each earlier batch (rows)."""
    window = [p.columns[name] for p in reference.window if name in p.columns]
    if len(window) < LEAST_PAST:
        return None
    table = np.zeros((len(window), len(tokens)))
    for number, summary in enumerate(window):
        if len(summary.values):
            table[number, np.searchsorted(tokens, summary.values)] = summary.counts
    return table


def _new_name(case: DriftCase, column: ViewColumn, loss: float) -> str | None:
    """Return the only new category if it has about as many rows as a known category lost."""
    fresh = column.present & ~member(column, case.reference.pools[column.name])
    tokens = np.unique(column.tokens[fresh])
    if len(tokens) == 1 and 0.5 * loss <= int(fresh.sum()) <= 2.0 * loss:
        return _text(case, int(tokens[0]))
    return None


def _loss_finding(
    case: DriftCase,
    column: ViewColumn,
    expected: np.ndarray,
    level_and_counts: tuple[int, dict[int, int]],
) -> DriftFinding | None:
    at, counts = level_and_counts
    pool = case.reference.pools[column.name]
    token = int(pool.values[at])
    now, usual = counts.get(token, 0), float(np.median(expected[-14:, at]))
    loss = usual - now
    if loss < _MANY:
        return None
    gains = {
        other: counts.get(int(tok), 0) - expected[:, other].max()
        for other, tok in enumerate(pool.values)
        if other != at
    }
    to = max(gains, key=lambda other: float(gains[other]), default=None)
    new = _new_name(case, column, loss)
    if new is not None:
        sentence = (
            f"{column.name} {_text(case, token)!r} has {now} rows instead of about {usual:.0f}, and"
            f" {new!r}, which was never seen before, has about as many: it looks like a new name."
        )
        evidence = {"level": _text(case, token), "new": new, "usual": usual}
        return DriftFinding("recoding", (column.name,), sentence, evidence, weight=2.0 * loss)
    # If all categories lack rows, the batch is small, and this category is no exception.
    total = float(np.median(expected[-14:].sum(axis=1)))
    rest = sum(counts.values()) - now
    if to is None or gains[to] < 0.3 * loss:
        if rest < 0.7 * (total - usual):
            return None
        kind = "missing_level"
        words = f"{loss:.0f} of about {usual:.0f} rows are missing"
    else:
        is_alone = len(counts) == 1
        kind = "constant" if is_alone else "merge" if now == 0 else "recoding"
        words = (
            f"{_text(case, int(pool.values[to]))!r} has {gains[to]:.0f} rows more than ever, as"
            f" if they were its rows"
        )
    sentence = (
        f"{column.name} {_text(case, token)!r} has {now} rows; in the batches before it had at"
        f" least {expected[:, at].min():.0f}: {words}."
    )
    evidence = {"level": _text(case, token), "rows": now, "usual": usual}
    return DriftFinding(kind, (column.name,), sentence, evidence, weight=2.0 * loss)

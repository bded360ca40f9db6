"""Concept faults: the inputs stay the same, but the relation of labels to inputs changes.

New labels are drawn from the model's probabilities with as few changes as possible: a label is kept
unless its new probability is below its old one. So the noise of the real labels is preserved.
"""

import numpy as np
import pyarrow as pa

from headrace.core.errors import DeclarationError
from headrace.verification.drift_study.data_faults import Change, Touched, segment
from headrace.verification.drift_study.row_edits import Floats, HistoryRows, Mask, labels_of

CLIP = 1e-3


def flip(share: float) -> Change:
    """Return a fault that flips labels in a segment with about `share` of all rows.

    The fault's `size` is the share of flipped labels in the segment.
    """

    def change(rows: HistoryRows, size: float, rng: np.random.Generator) -> Touched:
        everywhere = np.ones(rows.table.num_rows, np.bool_)
        where, levels = (everywhere, {}) if share >= 1 else segment(rows, share, rng)
        label = labels_of(rows)
        turned = where & (rng.random(len(label)) < size)
        label[turned] = 1 - label[turned]
        return rows.with_label(label), _segment_names(levels)

    return change


def _segment_names(levels: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(
        f"{name}={level}" for name, column_levels in levels.items() for level in column_levels
    )


def reversed_(rows: HistoryRows, size: float, rng: np.random.Generator) -> Touched:
    """Reverse the order of the probabilities; the rate of positive labels hardly changes."""
    now = _probabilities(rows, rows.table)
    order = np.argsort(now, kind="stable")
    other = np.empty_like(now)
    other[order] = now[order[::-1]]
    return _drawn(rows, now, (1 - size) * now + size * other, rng), ()


def vanished_effect(rows: HistoryRows, size: float, rng: np.random.Generator) -> Touched:
    """Remove the effect of an important feature: draw labels as if its values were shuffled."""
    name = _important(rows, rng)
    now = _probabilities(rows, rows.table)
    column = rows.table[name].combine_chunks()
    mixed = column.take(pa.array(rng.permutation(len(column))))
    other = _probabilities(rows, rows.with_columns({name: mixed}).table)
    return _drawn(rows, now, (1 - size) * now + size * other, rng), (name,)


def _probabilities(rows: HistoryRows, table: pa.Table) -> Floats:
    scorer = rows.history.scorer
    if scorer is None:
        raise DeclarationError("the history has no model", where=rows.history.name)
    return np.clip(scorer(table), CLIP, 1 - CLIP)


def _drawn(rows: HistoryRows, now: Floats, other: Floats, rng: np.random.Generator) -> HistoryRows:
    """Redraw labels with probabilities `other` instead of `now`, changing as few as possible."""
    label = labels_of(rows)
    chance = rng.random(len(label))
    up: Mask = (label == 0) & (chance < (other - now) / (1 - now))
    down: Mask = (label == 1) & (chance < (now - other) / now)
    label[up], label[down] = 1, 0
    return rows.with_label(label)


def _important(rows: HistoryRows, rng: np.random.Generator) -> str:
    """Return one of the three inputs with the highest gain in the model's trees, at random."""
    import lightgbm

    scorer = rows.history.scorer
    if scorer is None:
        raise DeclarationError("the history has no model", where=rows.history.name)
    gain = lightgbm.Booster(model_str=scorer.text).feature_importance("gain")
    best = np.argsort(gain)[::-1][:3]
    return scorer.columns[int(rng.choice(best))].name

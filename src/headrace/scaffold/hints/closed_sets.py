"""Closed sets: texts of a column to which the later deliveries added none."""

from collections.abc import Iterator

import numpy as np

from headrace.scaffold.hints.model import ContractHint
from headrace.scaffold.hints.sample import HintColumn, HintSample

MOST_LEVELS = 40
_FEWEST_DELIVERIES = 6  # with fewer, half of them say little about new values
# Rows, and share of the deliveries, of the rarest value: if it is rare, others are still to come.
_FEWEST_ROWS, _LEAST_DELIVERIES = 5, 0.15


def closed_sets(sample: HintSample) -> Iterator[ContractHint]:
    """Yield a hint for each text column with few values, none of them new in the last half."""
    for column in sample.columns.values():
        if column.kind == "text" and column.field.type == "string" and not column.field.levels:
            yield from _closed_set(sample, column)


def _closed_set(sample: HintSample, column: HintColumn) -> Iterator[ContractHint]:
    if column.field.primary_key_position or sample.count < _FEWEST_DELIVERIES:
        return
    tokens, rows, counts = np.unique(
        column.tokens[column.present], return_index=True, return_counts=True
    )
    if not 2 <= len(tokens) <= MOST_LEVELS or counts.min() < _FEWEST_ROWS:
        return
    spread = [np.unique(sample.delivery[column.tokens == token]) for token in tokens]
    if min(map(len, spread)) < _LEAST_DELIVERIES * sample.count:
        return
    half = sample.delivery < sample.count // 2
    early = np.unique(column.tokens[column.present & half])
    if len(early) < len(tokens):
        return
    places = np.flatnonzero(column.present)[rows].tolist()
    codes = tuple(sorted(str(column.stored[place]) for place in places))
    evidence = sample.evidence(np.isin(column.tokens, early), column.present)
    yield ContractHint(
        "levels",
        (column.name,),
        codes,
        f"{column.name} has {len(codes)} values, none of them new in the last"
        f" {sample.count - sample.count // 2} of {sample.count} deliveries.",
        evidence,
        "high",
        details={"rarest": int(counts.min())},
    )

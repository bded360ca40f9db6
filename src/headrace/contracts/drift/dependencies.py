"""Dependencies between columns that nobody declared: a key that fixes the value of a column.

`explainedBy` in a contract declares that a column follows from others, such as a distance from its
two airports. Many contracts declare no such key, although the rows have it. Two kinds are assumed.
If each entity (the text columns of the primary key) has one row in a batch, its measures are
compared with its last ones. And a column may follow from a category that determines it in nearly
all rows of a batch.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from headrace.contracts.drift.batch_view import MOST_LEVELS, BatchView, ViewColumn

Key = tuple[str, ...]
_MOST_KEYS = 24  # dependencies that a profile keeps of a batch: the least obvious ones first
_A_BATCH = 1.5  # most rows of an entity in a batch, on average; readings of a day vary too much
_PURE = 0.97  # least share of the rows that have the most frequent value of their category
_TOP = 0.8  # greatest share of one value from which nothing can be learned about a dependency
_ROWS = 12  # least rows in categories with several rows
_REPEATED = 0.3  # least share of rows in such categories
_SAMPLE = 20_000  # rows that are examined, the first ones


def label(column: str, key: Key) -> str:
    return f"{column}<{'+'.join(key)}"


def declared(look: BatchView) -> list[tuple[str, Key]]:
    """Return (column, key) for each declared `explainedBy` whose columns are all in the view."""
    return [
        (f.name, key)
        for f in look.contract.delivered
        for key in f.explained_by
        if {f.name, *key} <= look.columns.keys()
    ]


def with_values(look: BatchView, last: Mapping[str, Any]) -> list[tuple[str, Key]]:
    """Return the dependencies, declared or not, that earlier batches have values of."""
    pairs = declared(look)
    listed = set(pairs)
    entity = entity_of(look)
    keys = [(column.name,) for column in look.columns.values() if column.kind == "text"]
    for key in [entity, *keys] if len(entity) > 1 else keys:
        for name in look.columns:
            pair = (name, key)
            if name not in key and pair not in listed and label(name, key) in last:
                listed.add(pair)
                pairs.append(pair)
    return pairs


def entity_of(look: BatchView) -> Key:
    """Return the text columns of the primary key if it has other columns too."""
    names = [name for name in look.contract.primary_key if name in look.columns]
    texts = tuple(name for name in names if look.columns[name].kind == "text")
    return texts if len(texts) < len(look.contract.primary_key) else ()


def assumed(look: BatchView) -> list[tuple[str, Key]]:
    """Return the dependencies that the rows of a batch show and the contract does not declare."""
    aside = {*look.contract.primary_key}
    declared_pairs = set(declared(look))
    entity = entity_of(look)
    pairs: list[tuple[str, Key]] = []
    levels = _levels(look, entity) if entity else 0
    if levels and levels <= MOST_LEVELS and look.rows <= _A_BATCH * levels:
        pairs += [(c.name, entity) for c in look.columns.values() if c.name not in aside]
    pure: list[tuple[float, str, Key]] = []
    for key in look.columns.values():
        if key.kind != "text":
            continue
        group, rows = _groups(key)
        if rows is None:
            continue
        for column in look.columns.values():
            if column.name != key.name and column.name not in aside and column.kind != "moment":
                top = _determined(column, group, rows)
                if top is not None:
                    pure.append((top, column.name, (key.name,)))
    pairs += [(name, key) for _, name, key in sorted(pure)]
    return [pair for pair in dict.fromkeys(pairs) if pair not in declared_pairs][:_MOST_KEYS]


def _levels(look: BatchView, key: Key) -> int:
    return len(np.unique(look.key(key)[0]))


def _groups(key: ViewColumn) -> tuple[np.ndarray, np.ndarray | None]:
    """Return (category of each sampled row, places of rows in categories that several rows have).

    The places are None if there are too few.
    """
    tokens = key.tokens[:_SAMPLE]
    levels, group, counts = np.unique(tokens, return_inverse=True, return_counts=True)
    if not 2 <= len(levels) <= MOST_LEVELS:
        return group, None
    rows = np.flatnonzero((counts[group] > 1) & key.present[:_SAMPLE])
    enough = len(rows) >= max(_ROWS, _REPEATED * len(tokens))
    return group, rows if enough else None


def _determined(column: ViewColumn, group: np.ndarray, rows: np.ndarray) -> float | None:
    """Return the share of a column's most frequent value if the category determines the column."""
    rows = rows[column.present[rows]]
    if len(rows) < _ROWS:
        return None
    values, code, counts = np.unique(column.tokens[rows], return_inverse=True, return_counts=True)
    top = float(counts.max() / len(rows))
    if len(values) < 2 or top > _TOP:
        return None
    pairs, sizes = np.unique(group[rows] * len(values) + code, return_counts=True)
    of_group = pairs // len(values)
    starts = np.flatnonzero(np.concatenate([[True], of_group[1:] != of_group[:-1]]))
    pure = float(np.maximum.reduceat(sizes, starts).sum() / len(rows))
    return top if pure >= _PURE else None

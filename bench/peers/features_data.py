"""Events and moments to predict at, the same for every side: skewed entities, one year, by seed.

Events come in the order in which they became known. Amounts are integers of scale 2.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

YEAR = 365 * 86_400_000_000
START = 1_700_000_000_000_000
ENTITIES = 100_000
SHOPS = 10_000


@dataclass(frozen=True)
class Case:
    """How many rows, of how many entities, and what is out of the ordinary.

    `skew` is the exponent of the entities' Zipf law, 0 for equal shares; `hot` gives the first
    entity that share of all events instead. `corrected` and `late` are shares of events that are
    corrected, or known later than they happen.
    """

    events: int = 10_000_000
    spine: int = 1_000_000
    entities: int = ENTITIES
    skew: float = 1.1
    hot: float = 0.0
    corrected: float = 0.0
    late: float = 0.0
    seed: int = 7

    def scaled(self, by: float) -> "Case":
        """A quick look: fewer rows, and entities alike."""
        sizes = (max(int(n * by), 50) for n in (self.events, self.spine, self.entities))
        events, spine, entities = sizes
        return Case(
            events, spine, entities, self.skew, self.hot, self.corrected, self.late, self.seed
        )


def events(case: Case, first: int = 0, count: int | None = None) -> pa.Table:
    """event_id, entity, amount, shop, event_time, known_at; ids count up in order of known-at."""
    count = case.events if count is None else count
    rng = np.random.default_rng([case.seed, first])
    e = START + np.sort(_moments(rng, case, first, count))
    columns = {
        "event_id": np.arange(first, first + count),
        "entity": _entities(rng, case, count),
        "amount": (rng.gamma(2.0, 2_000, count)).astype(np.int64),
        "shop": _zipf(rng, 1.1, SHOPS, count),
        "event_time": e,
        "known_at": e.copy(),
    }
    late = rng.random(count) < case.late
    columns["known_at"][late] += _delays(rng, int(late.sum()))
    corrected = np.flatnonzero(rng.random(count) < case.corrected)
    if corrected.size:
        again = {name: values[corrected] for name, values in columns.items()}
        again["known_at"] = again["known_at"] + _delays(rng, corrected.size)
        again["amount"] = again["amount"] + rng.integers(1, 500, corrected.size)
        moved = rng.random(corrected.size) < 0.1
        again["entity"][moved] = _entities(rng, case, int(moved.sum()))
        columns = {name: np.concatenate([columns[name], again[name]]) for name in columns}
    if corrected.size or case.late:
        order = np.argsort(columns["known_at"], kind="stable")
        columns = {name: values[order] for name, values in columns.items()}
    return pa.table(columns)


def _moments(rng: np.random.Generator, case: Case, first: int, count: int) -> np.ndarray:
    """Event times of a stretch of the year, so that a long log can be made piece by piece."""
    low, high = (YEAR * i // case.events for i in (first, first + count))
    return rng.integers(low, high, count)


def _delays(rng: np.random.Generator, count: int) -> np.ndarray:
    """From minutes to some ten days."""
    return np.exp(rng.uniform(np.log(60e6), np.log(1e12), count)).astype(np.int64)


def _entities(rng: np.random.Generator, case: Case, count: int) -> np.ndarray:
    found = _zipf(rng, case.skew, case.entities, count)
    if case.hot:
        found[rng.random(count) < case.hot] = 0
    # Numbers as they come from another system: not in order of frequency.
    return (found * 2_654_435_761) % 4_294_967_291


def _zipf(rng: np.random.Generator, skew: float, size: int, count: int) -> np.ndarray:
    if not skew:
        return rng.integers(0, size, count)
    weights = np.arange(1, size + 1) ** -skew
    edges = np.cumsum(weights / weights.sum())
    return np.minimum(np.searchsorted(edges, rng.random(count)), size - 1)


def spine(case: Case) -> pa.Table:
    """row, entity, t; in no order."""
    rng = np.random.default_rng([case.seed, 1 << 40])
    t = START + rng.integers(YEAR // 12, YEAR, case.spine)
    entity = _entities(rng, case, case.spine)
    return pa.table({"row": np.arange(case.spine), "entity": entity, "t": t})

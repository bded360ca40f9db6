"""Many rows asked at once are answered as each alone, to the bit, in few looks at the store."""

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.serving.online import MemoryStore
from headrace.serving.online.kernel.answers import Compiled
from headrace.serving.online.view_values import values
from tests.examples import examples
from tests.features.logs import logs, random_log
from tests.online.kit import fill

COMPILED = Compiled()


@dataclass
class Counted:
    """A reader that counts the looks at it."""

    reader: object
    looks: list[int] = field(default_factory=list)

    def get_many(self, keys):
        self.looks.append(len(keys))
        return self.reader.get_many(keys)

    def get_joined(self, keys):
        self.looks.append(len(keys))
        return self.reader.get_joined(keys)


def bits(found):
    return [{name: (type(value), repr(value)) for name, value in one.items()} for one in found]


@settings(max_examples=examples(10), deadline=None)
@given(logs, st.integers(0, 99), st.sampled_from([2, 128]))
def test_a_batch_is_each_alone(log, seed, limit):
    store = MemoryStore()
    layout = fill(log, store, seed=seed, limit=limit)
    rows = random.Random(seed).choices(log.spine, k=2 * len(log.spine)) if log.spine else []
    moments = [row["t"] for row in rows]
    with store.reading() as reader:
        together = values(reader, layout, COMPILED, rows, moments)
        alone = [
            values(reader, layout, COMPILED, [row], [t])[0]
            for row, t in zip(rows, moments, strict=True)
        ]
    assert bits(together) == bits(alone)


@pytest.mark.parametrize("limit", [2, 128])
def test_a_batch_looks_at_most_thrice_for_each_join(limit):
    """For the roots, the leaves of directories, and texts."""
    log, store = random_log(2), MemoryStore()
    layout = fill(log, store, limit=limit)
    with store.reading() as reader:
        counted = Counted(reader)
        values(counted, layout, COMPILED, log.spine, [row["t"] for row in log.spine])
    assert len(log.spine) > 3
    assert len(counted.looks) <= 3 * len(layout.calls)

"""The compiled kernel equals the oracle and the numpy kernel, bit for bit."""

import gc
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from headrace.core import compute
from headrace.core.errors import HeadraceError
from headrace.features import (
    Column,
    Count,
    Distinct,
    FeatureView,
    First,
    Last,
    Lookup,
    Max,
    Mean,
    Min,
    Rows,
    Std,
    Sum,
    TableShape,
    Where,
    Window,
    training_frame,
)
from headrace.features.kernel import row_ranges
from headrace.features.kernel.kernel import Joined
from headrace.features.kernel.visibility import Versions
from tests.examples import examples
from tests.features.logs import all_differences, logs, random_log

pytest.importorskip("numba", reason="numba is not installed: pip install headrace[fast]")


@pytest.fixture
def compiled(monkeypatch):
    monkeypatch.setenv("HEADRACE_KERNEL", "compiled")


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("seed", range(25))
def test_equals_the_oracle_on_dense_logs(seed):
    assert all_differences(random_log(seed)) == []


@settings(max_examples=examples(60), deadline=None)
@given(logs)
def test_equals_the_oracle_on_any_log(log):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADRACE_KERNEL", "compiled")
        assert all_differences(log) == []


LONG, SHORT = Window("-9000us"), Window("-40us")
WINDOWS = (SHORT, LONG, Window("-500us", "-30us"), Window("-100us", "200us"))
BIG_SHAPE = TableShape(
    "facts",
    "planned",
    ("id",),
    {
        "id": Column(pa.int64()),
        "who": Column(pa.int64()),
        "q": Column(pa.int64(), scale=2),
        "x": Column(pa.float64()),
        "s": Column(pa.string()),
    },
)
BIG_VIEWS = (
    FeatureView(
        "v",
        "facts",
        ("who",),
        tuple(
            feature
            for window in WINDOWS
            for feature in (
                Rows(window),
                Count("x", window),
                Sum("q", window),
                Mean("q", window),
                Std("q", window),
                Min("x", window),
                Max("x", window),
                Min("q", window, where=Where("s", "!=", "b")),
                First("s", window),
                Last("x", window),
                Distinct("s", window),
                Distinct("q", window, where=Where("s", "in", ("a", "b"))),
            )
        ),
    ),
    Lookup("state", "facts", ("who",), ("x", "s", "q"), None),
    Lookup("young", "facts", ("who",), ("x", "s"), "60us"),
)


def big_log(seed, *, late, corrected, entities=40, events=6000, spine=2500):
    rng = np.random.default_rng(seed)
    e = rng.integers(0, 10_000, events)
    wait = np.where(rng.random(events) < late, rng.integers(0, 3000, events), 7)
    ids = np.arange(events)
    again = rng.random(events) < corrected
    ids[again] = rng.integers(0, events, int(again.sum()))
    x = rng.normal(size=events).round(1)
    facts = pa.table(
        {
            "id": ids,
            "who": np.minimum(rng.zipf(1.3, events), entities),
            "q": rng.integers(-(2**40), 2**40, events),
            "x": pa.array(x, mask=rng.random(events) < 0.2),
            "s": pa.array(rng.choice(list("abcd"), events), mask=rng.random(events) < 0.1),
            "event_time": e,
            "known_at": e + wait,
        }
    )
    moments = {"who": np.minimum(rng.zipf(1.3, spine), entities + 1)}
    return facts, pa.table({**moments, "t": rng.integers(-100, 11_000, spine)})


def frame(facts, spine, kernel, patch, *, threads=1):
    patch.setenv("HEADRACE_KERNEL", kernel)
    patch.setattr(row_ranges, "_FEW", 1)
    with compute.limited_to(threads):
        return training_frame(
            spine,
            BIG_VIEWS,
            lambda _, columns: facts.select([*columns, "event_time", "known_at"]),
            {"facts": BIG_SHAPE},
            reasons=True,
        )


@pytest.mark.parametrize("late", [0.0, 0.3])
@pytest.mark.parametrize("corrected", [0.0, 0.2])
def test_equals_numpy_on_long_histories_whatever_the_threads(late, corrected, monkeypatch):
    facts, spine = big_log(3, late=late, corrected=corrected)
    plain = frame(facts, spine, "numpy", monkeypatch)
    for threads in (1, 3):
        assert frame(facts, spine, "compiled", monkeypatch, threads=threads).equals(plain)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize(
    ("name", "planted"),
    [
        ("find_odd", lambda *_: None),
        ("cover_sum", lambda lo, hi, weights, size: np.zeros(size, np.int64)),
        ("first_place", lambda t, _, codes, moments: np.searchsorted(t, moments)),
        ("running", lambda values: np.concatenate([[0], np.cumsum(values[::-1])])),
    ],
)
def test_a_planted_error_is_caught(name, planted, monkeypatch):
    from headrace.features.kernel import compiled as loops

    monkeypatch.setattr(loops, name, planted)
    assert any(all_differences(random_log(seed)) for seed in range(6))


def test_kernel_is_chosen_by_size_unless_forced(monkeypatch):
    monkeypatch.delenv("HEADRACE_KERNEL", raising=False)
    assert not compute.compiled(10)
    assert compute.compiled(compute.WORTH_IT)
    monkeypatch.setenv("HEADRACE_KERNEL", "numpy")
    assert not compute.compiled(compute.WORTH_IT)
    monkeypatch.setenv("HEADRACE_KERNEL", "fortran")
    with pytest.raises(HeadraceError, match="is not a kernel"):
        compute.compiled(1)


def test_without_numba_numpy_computes(monkeypatch):
    monkeypatch.setattr(compute, "has_numba", lambda: False)
    monkeypatch.delenv("HEADRACE_KERNEL", raising=False)
    assert not compute.compiled(10**9)
    monkeypatch.setenv("HEADRACE_KERNEL", "compiled")
    with pytest.raises(HeadraceError, match="headrace\\[fast\\]"):
        compute.compiled(1)


def test_a_small_frame_does_not_load_numba():
    code = """
import sys
from headrace.features import training_frame
from tests.features.logs import SHAPES, VIEWS, random_log
log = random_log(1)
training_frame(log.spine_table, VIEWS, log.history, SHAPES, log.mode)
assert "numba" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("kernel", ["numpy", "compiled"])
def test_a_frame_leaves_nothing_for_the_garbage_collector(kernel, monkeypatch):
    """Out of core, what waits for the collector is a part's memory once more."""
    facts, spine = big_log(1, late=0.1, corrected=0.1)
    gc.collect()
    gc.disable()
    try:
        before = {id(one) for one in held()}  # by a failed test, say
        frame(facts, spine, kernel, monkeypatch)
        left = [one for one in held() if id(one) not in before]
    finally:
        gc.enable()
    assert left == []


def held():
    return [one for one in gc.get_objects() if isinstance(one, Joined | Versions)]

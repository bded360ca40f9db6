import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.clock import DAY
from headrace.models import metrics


@st.composite
def forecasts(draw, both=True):
    pairs = st.tuples(st.booleans(), st.integers(0, 20).map(lambda n: n / 20))
    rows = draw(st.lists(pairs, min_size=2, max_size=60))
    if both:
        rows += [(True, 0.5), (False, 0.25)]
    y, p = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    return y, p


@given(forecasts())
def test_equal_to_scikit_learn(case):
    y, p = case
    assert metrics.auc(y, p) == pytest.approx(sklearn.metrics.roc_auc_score(y, p))
    expected = sklearn.metrics.average_precision_score(y, p)
    assert metrics.average_precision(y, p) == pytest.approx(expected)
    assert metrics.brier(y, p) == pytest.approx(sklearn.metrics.brier_score_loss(y, p))
    clipped = np.clip(p, 1e-15, 1 - 1e-15)
    assert metrics.log_loss(y, p) == pytest.approx(sklearn.metrics.log_loss(y, clipped))


def test_one_class_has_no_auc():
    y = np.ones(3)
    assert metrics.auc(y, y / 2) is None
    assert metrics.auc(y * 0, y / 2) is None
    assert metrics.average_precision(y * 0, y / 2) is None


@given(forecasts(both=False))
def test_bins_hold_every_row(case):
    y, p = case
    bins = metrics.calibration(y, p)
    assert sum(one["rows"] for one in bins) == len(y)
    observed = sum(one["rows"] * one["observed"] for one in bins if one["rows"])
    assert observed == pytest.approx(y.sum())
    assert 0 <= metrics.calibration_error(bins) <= 1


def test_a_perfect_forecast_is_calibrated():
    y = np.array([0.0, 1.0])
    assert metrics.calibration_error(metrics.calibration(y, y)) == 0


def test_the_interval_is_of_days_not_rows():
    rng = np.random.default_rng(0)
    t = np.repeat(np.arange(20) * DAY, 500)
    by_day = np.repeat(rng.normal(size=20), 500)
    by_row = rng.permutation(by_day)
    wide = metrics.day_block_interval(t, by_day, 500, 1)
    narrow = metrics.day_block_interval(t, by_row, 500, 1)
    assert wide["high"] - wide["low"] > 5 * (narrow["high"] - narrow["low"])
    assert wide["low"] < wide["difference"] < wide["high"]
    assert wide["blocks"] == 20
    assert wide == metrics.day_block_interval(t, by_day, 500, 1), "seeded"

"""Fits: exact, in any order, from the training rows alone; applied to one row as to all."""

import json
import math
import re
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import headrace
from headrace.core.errors import DeclarationError, StateError
from headrace.datasets import (
    Evaluation,
    GroupSplits,
    Impute,
    Scale,
    StratifiedSplits,
    TargetMean,
    Vocabulary,
    release,
)
from headrace.datasets.exact_sums import deviation, mean, quantile, sums
from headrace.datasets.fits.fits import Fits, apply_steps, encode
from headrace.datasets.fits.fitting import fit, fit_column
from headrace.datasets.fits.release_fits import fits_of, refitted
from headrace.datasets.fits.transforms import transforms_by_column
from headrace.datasets.manifest import ManifestColumn
from headrace.datasets.store.store import Store
from tests.datasets.frames import DEFINITIONS, INPUTS, SPEC, frame, put
from tests.examples import examples

FINITE = st.floats(allow_nan=False, allow_infinity=False)
WHOLE = st.integers(-(2**63) + 1, 2**63 - 1)
CELLS = st.one_of(st.none(), st.floats(-1e6, 1e6), st.sampled_from([math.nan, -0.0, 0.5, 0.5]))


@settings(max_examples=examples(200))
@given(st.one_of(st.lists(FINITE), st.lists(WHOLE)))
@example([5e-324, 1.7e308, -1.7e308, 2.0**-1060])
@example([2**62, 2**62, -1])
def test_sums_are_exact(values):
    kind = np.int64 if values and isinstance(values[0], int) else np.float64
    first, second = sums(np.array(values, kind))
    assert first == sum(map(Fraction, values))
    assert second == sum(Fraction(one) ** 2 for one in values)


def test_sums_of_many_rows_do_not_overflow():
    """The greatest mantissas there are, as often as the limbs must bear in one sum."""
    values = np.full(3_000_000, math.nextafter(2.0, 0.0))
    first, second = sums(values)
    assert first == len(values) * Fraction(values[0])
    assert second == len(values) * Fraction(values[0]) ** 2


@settings(max_examples=examples(60))
@given(st.lists(st.floats(-1e9, 1e9), min_size=1), st.randoms())
def test_means_and_deviations_do_not_know_an_order(values, random):
    shuffled = random.sample(values, len(values))
    given_order, other = np.array(values), np.array(shuffled)
    assert mean(given_order) == mean(other) == float(sum(map(Fraction, values)) / len(values))
    assert deviation(given_order) == deviation(other)
    if len(values) > 1:
        true_mean = sum(map(Fraction, values)) / len(values)
        variance = sum((Fraction(v) - true_mean) ** 2 for v in values) / (len(values) - 1)
        assert deviation(given_order) == math.sqrt(float(variance))


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=30), st.fractions(0, 1))
def test_a_quantile_is_a_value_that_is_there(values, share):
    found = quantile(np.sort(values), share)
    assert found in values
    assert Fraction(sum(one <= found for one in values), len(values)) >= share
    lower = [one for one in values if one < found]
    if share:
        assert Fraction(len(lower), len(values)) < share


def oracle(values, transform):
    """What a transform makes of its own training values, in plain Python; None is null."""
    known = sorted(v for v in values if v is not None and v == v)
    n, count = len(known), Counter(known)
    at = lambda share: known[max(math.ceil(share * n) - 1, 0)]
    if isinstance(transform, Impute):
        best = max(count.values())
        value = {
            "mean": lambda: float(sum(map(Fraction, known)) / n),
            "median": lambda: at(Fraction(1, 2)),
            "mode": lambda: min(v for v in known if count[v] == best),
            "constant": lambda: transform.value,
        }[transform.by]()
        return [value if v is None or v != v else v for v in values]
    if transform.by == "quantile":
        edges = sorted({at(Fraction(k, transform.bins)) for k in range(1, transform.bins + 1)})
        place = lambda v: sum(edge <= v for edge in edges) / len(edges)
        return [None if v is None or v != v else place(v) for v in values]
    center, scale = {
        "standard": lambda: (mean(np.array(known)), deviation(np.array(known))),
        "minmax": lambda: (known[0], known[-1] - known[0]),
        "robust": lambda: (at(Fraction(1, 2)), at(Fraction(3, 4)) - at(Fraction(1, 4))),
    }[transform.by]()
    return [None if v is None or v != v else (v - center) / (scale or 1.0) for v in values]


@settings(max_examples=examples(80))
@given(
    st.lists(CELLS, min_size=1, max_size=40).filter(
        lambda values: any(v is not None and v == v for v in values)
    ),
    st.sampled_from(
        [
            *(Impute(("x",), by) for by in ("mean", "median", "mode")),
            Impute(("x",), "constant", 3.5),
            *(Scale(("x",), by) for by in ("standard", "minmax", "robust")),
            Scale(("x",), "quantile", bins=4),
        ]
    ),
    st.randoms(),
)
def test_numbers_are_transformed_as_a_loop_does(values, transform, random):
    column = pa.chunked_array([pa.array(values, pa.float64())])
    steps = fit_column(column, (transform,))
    expected = [math.nan if v is None else v for v in oracle(values, transform)]
    found = apply_steps(column, steps)
    np.testing.assert_array_equal(found, expected)
    other = random.sample(values, len(values))
    cut = random.randint(0, len(values))
    chunked = pa.chunked_array([other[:cut], other[cut:]], pa.float64())
    assert fit_column(chunked, (transform,)) == steps, "no order of rows, no chunks"
    kept = json.loads(json.dumps([dict(one) for one in steps]))
    alone = [apply_steps(column.slice(n, 1), kept)[0] for n in range(len(values))]
    np.testing.assert_array_equal(alone, found, "one row as among others, and from its JSON")


TEXTS = st.lists(st.sampled_from([None, "", "a", "b", "ö"]), max_size=30)


@settings(max_examples=examples(60))
@given(TEXTS, TEXTS, st.integers(1, 3), st.sampled_from(["null", "own"]), st.booleans())
def test_a_vocabulary_counts_and_places(train, seen, least, unknown, imputed):
    before = (Impute(("s",), "constant", "b"),) if imputed else ()
    declared = (*before, Vocabulary(("s",), least, unknown))
    steps = fit_column(pa.chunked_array([train], pa.string()), declared)
    fill = lambda values: ["b" if v is None and imputed else v for v in values]
    count = Counter(v for v in fill(train) if v is not None)
    values = sorted(v for v in count if count[v] >= least)
    assert steps[-1]["values"] == values
    other = len(values) if unknown == "own" else math.nan
    expected = [
        math.nan if v is None else values.index(v) if v in values else other for v in fill(seen)
    ]
    column = pa.chunked_array([seen], pa.string())
    np.testing.assert_array_equal(apply_steps(column, steps), expected)


def test_indicators_stand_behind_all_columns():
    columns = (ManifestColumn("x", "float64", "feature"), ManifestColumn("n", "int64", "feature"))
    table = pa.table({"x": [1.0, math.nan, None], "n": pa.array([None, 4, 6], pa.int64())})
    declared = transforms_by_column(
        (Impute(("*",), "mean", indicator=True), Scale(("n",), "minmax")), columns
    )
    fits = Fits({name: fit_column(table[name], steps) for name, steps in declared.items()})
    assert fits.outputs(columns) == ["x", "n", "x__missing", "n__missing"]
    expected = [[1, 0.5, 0, 1], [1, 0, 1, 0], [1, 1, 1, 0]]
    np.testing.assert_array_equal(encode(table, columns, fits), expected)


def test_fits_of_format_1_are_read_and_still_written_where_they_suffice():
    old = {"format": 1, "vocabularies": {"c": ["a", "b"]}}
    fits = Fits.from_json(old)
    assert fits.to_json() == old
    rows = pa.table({"c": ["b", "z", None, "a"]})
    found = encode(rows, (ManifestColumn("c", "string", "feature"),), fits)
    np.testing.assert_array_equal(found, [[1], [np.nan], [np.nan], [0]])
    assert fit(pa.table({"c": ["b", "a", None]}), ["c"]) == fits
    newer = Fits({"c": ({**fits.steps["c"][0], "unknown": "own"},)})
    assert newer.to_json()["format"] == 2
    assert Fits.from_json(json.loads(newer.to_bytes())) == newer
    with pytest.raises(StateError, match="format 3"):
        Fits.from_json({"format": 3})


@pytest.mark.parametrize(
    "make, says",
    [
        (lambda: TargetMean(("carrier",)), "leaks each row's own label"),
        (lambda: Impute(("x",), "constant"), "set value together with"),
        (lambda: Impute(("x",), "mean", 3.0), "set value together with"),
        (lambda: Impute(("x",), "magic"), "there is no 'magic'"),
        (lambda: Scale(("x",), bins=1), "bins is 1"),
        (lambda: Vocabulary(("x",), 0), "min_count is 0"),
        (lambda: Vocabulary("x"), "columns"),
        (lambda: fitted(Scale(("nothing*",))), r"no column matches 'nothing\*'"),
        (lambda: fitted(Scale(("calendar__carrier",))), "does not support string"),
        (lambda: fitted(Vocabulary(("weather__wind",))), "does not support float64"),
        (lambda: fitted(Scale(("late",))), "no column matches 'late'"),
        (lambda: fitted(Scale(("*__wind",)), Scale(("*__wind",), "minmax")), "two transforms"),
        (
            lambda: fit_column(pa.chunked_array([[None]], pa.float64()), (Scale(("x",)),)),
            "no value",
        ),
        (
            lambda: fit_column(pa.chunked_array([[math.inf, 1]]), (Scale(("x",)),)),
            "has infinite values",
        ),
        (
            lambda: fit_column(pa.chunked_array([["a"]]), (Impute(("x",), "constant", 1),)),
            "is not a value of a string column",
        ),
    ],
)
def test_what_cannot_be_fitted(make, says):
    with pytest.raises(DeclarationError) as told:
        make()
    assert says in str(told.value) or re.search(says, str(told.value))


DECLARED = (
    Impute(("carrier_1d__*",), "mean", indicator=True),
    Scale(("carrier_1d__*", "weather__wind")),
    Scale(("calendar__hour",), "robust"),
    Vocabulary(("calendar__carrier", "origin"), min_count=2, unknown="own"),
)


def fitted(*transforms):
    return transforms_by_column(
        transforms,
        [
            ManifestColumn("weather__wind", "float64", "feature"),
            ManifestColumn("calendar__carrier", "string", "feature"),
            ManifestColumn("late", "int64", "label"),
        ],
    )


def released(store, rows, **changes):
    return release(
        replace(SPEC, fits=DECLARED, **changes),
        rows,
        inputs=INPUTS,
        definitions=DEFINITIONS,
        mode="declared",
        code_revision="r1",
        store=store,
    )


RULES = {
    "time": {},
    "group": {"splits": GroupSplits(("flight",), 0.6, 0.2, 0.2)},
    "group after": {"splits": GroupSplits(("flight",), 0.6, 0.2, 0.2, after="2013-03-15")},
    "strata": {"splits": StratifiedSplits(("origin",), 0.6, 0.2, 0.2)},
    "strata after": {"splits": StratifiedSplits(("origin",), 0, 0.5, 0.5, after="2013-03-15")},
    "apart": {"evaluation": Evaluation(0.4, "2013-04-01")},
}


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=4)
@given(seed=st.integers(0, 2**32 - 1))
def test_other_rows_move_no_byte_of_a_fit_or_of_a_training_row(rule, seed, tmp_path_factory):
    """Features and labels of validation, test and evaluation rows are altered, or lost."""
    rows, rng = frame(600, seed=seed % 100), np.random.default_rng(seed)
    store = tmp_path_factory.mktemp("fits")
    before = released(store / "a", rows, **RULES[rule])
    dataset = headrace.open("delays", store / "a")
    train = set(dataset.split("train").arrow["flight"].to_pylist())
    others = [n for n, one in enumerate(rows["flight"].to_pylist()) if one not in train]
    altered = rows
    touched = np.zeros(rows.num_rows, np.bool_)
    touched[rng.permutation(others)[: rng.integers(1, len(others) + 1)]] = True
    touched[rows["flight"].to_pylist().index(dataset.arrow["flight"][-1].as_py())] = True
    for name, value in (
        ("carrier_1d__delay_mean", rng.normal(1e6, 1e6, rows.num_rows)),
        ("weather__wind", rng.normal(-1e6, 1e6, rows.num_rows)),
        ("calendar__hour", rng.integers(-99, 99, rows.num_rows)),
        ("calendar__carrier", np.array(["NEW"] * rows.num_rows)),
        ("late", rng.integers(0, 2, rows.num_rows)),
    ):
        mask = np.array(rows[name].is_null())
        old = rows[name].fill_null("" if name == "calendar__carrier" else 0).to_numpy()
        mixed = np.where(touched, value, old)
        altered = put(altered, name, pa.array(mixed, rows.schema.field(name).type, mask=mask))
    after = released(store / "b", altered, **RULES[rule])
    assert after.fits == before.fits
    assert after.splits["train"].parts == before.splits["train"].parts
    assert after.splits["train"].row_sum == before.splits["train"].row_sum
    assert after.content_hash != before.content_hash, "something was altered"


def test_fits_are_objects_of_the_store(tmp_path):
    manifest = released(tmp_path, frame())
    names = {"carrier_1d__delay_mean", "weather__wind", "calendar__hour", "calendar__carrier"}
    assert set(manifest.fits) == {*names, "origin"}
    store = Store.find(tmp_path)
    kept = store.get_json(manifest.fits["origin"])
    assert kept["declared"] == [{"kind": "vocabulary", "min_count": 2, "unknown": "own"}]
    assert kept["steps"][0]["values"] == ["EWR", "JFK", "LGA"]
    assert fits_of(store, manifest).vocabularies["origin"] == ("EWR", "JFK", "LGA")
    train = headrace.open("delays", tmp_path).split("train").arrow
    assert refitted(store, manifest, train) == manifest.fits
    assert refitted(store, manifest, train.slice(0, 100)) != manifest.fits
    other = released(tmp_path, frame(), parameters={}, description="other")
    assert other.fits == manifest.fits
    fewer = released(tmp_path, frame(), left_out=SPEC.left_out)
    assert fewer.reasons == ("description: changed",)


@pytest.mark.parametrize("by", ["standard", "minmax", "robust"])
def test_what_no_float_can_scale_is_refused_by_name(by):
    apart = pa.chunked_array([[-1.7e308, 1.7e308] * 8])
    with pytest.raises(DeclarationError, match="exceeds the largest float"):
        fit_column(apart, [Scale(("x",), by)])
    with pytest.raises(DeclarationError, match="value=nan is not a finite number"):
        Impute(("x",), "constant", value=float("nan"))

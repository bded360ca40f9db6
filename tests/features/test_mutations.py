"""Errors that are easily made, planted one by one: the comparison with the oracle catches each."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from headrace.features import labels, spines
from headrace.features.frames import training_frame
from headrace.features.kernel import arrays, distinct, kernel, visibility
from headrace.features.kernel.spine_intervals import covered_count
from tests.features.logs import FAR, all_differences, random_log

BATTERY = [random_log(seed) for seed in range(20)]
NEVER = arrays.NEVER
superseded, covered_sum, passes = visibility.superseded, kernel.covered_sum, kernel.passes


def supersede_by(new_keys):
    """Plant another idea of what makes two rows versions of one thing."""

    def planted(shape, table, keys, known, k, *, complete):
        return superseded(shape, table, new_keys(table, keys), known, k, complete=complete)

    return planted


def only_rows_that_pass(table, keys):
    on = np.asarray(table["status"].to_numpy() == "on") if "status" in table.column_names else True
    return np.where(on, keys, -1 - np.arange(len(keys)))


def per_entity(table, keys):
    if "who" not in table.column_names:
        return keys
    return keys * 10 + arrays.ranks(table["who"])[0]


def latest_only(shape, table, keys, known, k, *, complete):
    x = superseded(shape, table, keys, known, k, complete=complete)
    return np.where(x < NEVER, k, x)


def float_sum(lo, hi, weights, size):
    delta = np.zeros(size + 1)
    np.add.at(delta, lo, weights)
    np.subtract.at(delta, hi, weights)
    return np.cumsum(delta)[:size].astype(np.int64)


def naive_std(n, total, squares, scale):
    square = sum(limb.astype(float) * 2.0**shift for shift, limb in squares)
    variance = np.maximum(square - total.astype(float) ** 2 / n, 0) / (n - 1)
    return np.sqrt(variance) / 10**scale


def united_across_values(lo, hi, codes, size):
    return distinct.covered_distinct(lo, hi, np.zeros_like(codes), size)


def neighbours_united(lo, hi, codes, size):
    """Only the range just before is looked at, not all before."""
    order = np.lexsort((lo, codes))
    lo, hi, codes = lo[order], hi[order], codes[order]
    lo[1:] = np.where(codes[1:] == codes[:-1], np.maximum(lo[1:], hi[:-1]), lo[1:])
    return covered_count(lo, np.maximum(lo, hi), size)


def codes_as_stored(versions, column):
    """NaN and -0 as the table has them."""
    array = arrays.whole(versions.table[column]).take(versions.rows)
    return np.asarray(array.dictionary_encode().indices.fill_null(-1), dtype=np.int64)


def last_row_without_nulls(joined, chosen, column):
    whole = RANKED(joined, chosen, column)
    known = joined.versions.valid("s")
    return (
        whole if known is None else kernel.Output(whole.ok & known[whole.index], None, whole.index)
    )


def default_over_nulls(joined, output, array, default):
    return array if default is None else pc.fill_null(array, default)


def default_unless_a_row(joined, output, array, default):
    """A default for an empty window only, not where all values are null."""
    rows = np.zeros(len(array), dtype=np.bool_)
    rows[joined.places.rows] = joined.visible_count == 0
    return pc.if_else(pa.array(rows), array, WITH_DEFAULT(joined, output, array, default))


def null_passes(condition, versions):
    nothing = versions.array(condition.column).is_null().to_numpy(zero_copy_only=False)
    return passes(condition, versions) | nothing


FAULTS = {
    "inclusive edge": (kernel, "window_start", lambda k, e, b: np.maximum(k, e - b)),
    "window too short": (kernel, "window_end", lambda x, e, a: np.minimum(x, e - a)),
    "window outlives the version": (kernel, "window_end", lambda x, e, a: e - a + 1),
    "known-at ignored": (visibility, "usable", lambda known, commit: np.full_like(known, -FAR)),
    "commit ignored": (visibility, "usable", lambda known, commit: known),
    "available only after t": (visibility, "usable", lambda known, commit: known + 1),
    "filter before resolve": (visibility, "superseded", supersede_by(only_rows_that_pass)),
    "index by entity": (visibility, "superseded", supersede_by(per_entity)),
    "corrections add up": (
        visibility,
        "superseded",
        lambda shape, table, keys, known, k, *, complete: np.full_like(k, NEVER),
    ),
    "overwritten in place": (visibility, "superseded", latest_only),
    "version ties by ingest order": (visibility, "_settle_ties", lambda s, t, rows, same: rows),
    "sequence ignored": (visibility, "sequences", lambda s, table: np.zeros(len(table), np.int64)),
    "ties by ingest order": (
        visibility,
        "event_order",
        lambda e, sequence, keys: np.argsort(e, kind="stable"),
    ),
    "zone slip": (
        visibility,
        "event_times",
        lambda table, name: arrays.times(table, "event_time", name) + 3,
    ),
    "truncated times": (
        visibility,
        "event_times",
        lambda table, name: arrays.times(table, "event_time", name) // 4 * 4,
    ),
    "tombstones ignored": (visibility, "alive", lambda table: np.ones(len(table), np.bool_)),
    "null entity matches": (
        arrays,
        "_mix",
        lambda codes, part, count: codes * count + np.maximum(part, 0),
    ),
    "float sum": (kernel, "covered_sum", float_sum),
    "naive mean": (kernel, "mean", lambda total, n, scale: total / 10**scale / n),
    "naive std": (kernel, "std", naive_std),
    "population std": (
        kernel,
        "std",
        lambda n, total, squares, scale: naive_std(n, total, squares, scale) * np.sqrt((n - 1) / n),
    ),
    "null coded as 0": (kernel, "known_values", lambda valid: None),
    "null passes a filter": (kernel, "passes", null_passes),
    "distinct counts rows": (
        kernel,
        "covered_distinct",
        lambda lo, hi, codes, size: covered_count(lo, hi, size),
    ),
    "distinct counts whether there is any": (kernel, "covered_distinct", united_across_values),
    "distinct forgets an earlier range": (kernel, "covered_distinct", neighbours_united),
    "distinct of the stored bits": (kernel, "value_codes", codes_as_stored),
    "last row as the last value of each column": (
        kernel._COMPUTE,
        "last_row",
        last_row_without_nulls,
    ),
    "default for a null entity": (training_frame, "with_default", default_over_nulls),
    "no default where there is no history": (training_frame, "with_default", default_unless_a_row),
    "default ignored": (
        training_frame,
        "with_default",
        lambda joined, output, array, default: array,
    ),
    "default before the scale": (
        training_frame,
        "default_values",
        lambda feature, shape: tuple(
            value * 10 if isinstance(value, float) else value
            for value in DEFAULT_VALUES(feature, shape)
        ),
    ),
    "max_age ignored": (kernel, "state_end", lambda x, e, max_age: x),
    "max_age one too few": (
        kernel,
        "state_end",
        lambda x, e, max_age: x if max_age is None else np.minimum(x, e + max_age),
    ),
    "state starts too late": (kernel, "state_start", lambda k, e: np.maximum(k, e + 1)),
    "label by presence": (labels, "is_mature", lambda t, after, cut: np.ones(len(t), np.bool_)),
    "label horizon inclusive": (labels, "label_start", lambda e, horizon: e - horizon),
    "label from before t": (labels, "label_end", lambda e: e + 2),
    "label read as of today": (
        labels,
        "versions_at",
        lambda versions, cut: VERSIONS_AT(versions, NEVER - 1),
    ),
    "spine from the future": (spines, "is_visible", lambda versions, t: versions.x == NEVER),
}
VERSIONS_AT = labels.versions_at
RANKED = kernel._COMPUTE["last_row"]
WITH_DEFAULT, DEFAULT_VALUES = training_frame.with_default, training_frame.default_values


def test_nothing_is_found_where_nothing_is_planted():
    assert [found for log in BATTERY for found in all_differences(log)] == []


@pytest.mark.parametrize("fault", FAULTS)
def test_each_planted_error_is_caught(fault, monkeypatch):
    where, name, planted = FAULTS[fault]
    if isinstance(where, dict):
        assert name in where
        monkeypatch.setitem(where, name, planted)
    else:
        assert callable(getattr(where, name))
        monkeypatch.setattr(where, name, planted)
    assert any(all_differences(log) for log in BATTERY)

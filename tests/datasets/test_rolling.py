"""A dataset rolls on: the newest rows are tested, faulty spans are in no split, meaning stays."""

from dataclasses import replace

import numpy as np
import pytest

import headrace
from headrace.core.clock import DAY, HOUR, iso, parse_iso
from headrace.core.errors import DeclarationError
from headrace.datasets import Evaluation, GroupSplits, Manifest, TimeSplits, release
from headrace.datasets.splits.rolling import Withheld, rolled
from tests.datasets.frames import DEFINITIONS, INPUTS, SPEC, frame

APRIL = parse_iso("2013-04-20")


def released(store, spec, **changes):
    return release(
        spec,
        frame(),
        inputs=INPUTS,
        definitions=DEFINITIONS,
        mode="declared",
        code_revision="r1",
        store=store,
        **changes,
    )


def test_splits_by_time_end_at_the_moment():
    moved = rolled(SPEC, APRIL, "14d", "7d")
    assert moved.splits == TimeSplits(
        "2013-03-30T00:00:00Z", "2013-04-13T00:00:00Z", "2013-04-20T00:00:00Z"
    )
    assert moved.cutoff == "2013-04-20T00:00:00Z"
    assert replace(moved, splits=SPEC.splits, cutoff=SPEC.cutoff) == SPEC


def test_bounds_of_other_splits_move_where_they_are_set():
    splits = GroupSplits(("origin",), after="2013-02-01", until="2013-03-01")
    spec = replace(SPEC, splits=splits, evaluation=Evaluation(0.1, "2013-02-01"))
    moved = rolled(spec, APRIL, "14d", "7d")
    assert moved.splits.after == "2013-04-13T00:00:00Z"
    assert moved.splits.until == "2013-04-20T00:00:00Z"
    assert moved.evaluation == Evaluation(0.1, "2013-04-13T00:00:00Z")
    unbounded = replace(SPEC, splits=GroupSplits(("origin",)))
    with pytest.raises(DeclarationError, match="no time bound"):
        rolled(unbounded, APRIL, "14d", "7d")


@pytest.mark.parametrize(
    ("valid", "test", "short"), [("2d", "7d", "valid"), ("14d", "48h", "test")]
)
def test_a_split_without_mature_labels_is_refused(valid, test, short):
    with pytest.raises(DeclarationError, match=rf"Retraining\({short}=.*leaves no rows") as refused:
        rolled(SPEC, APRIL, valid, test)
    assert refused.value.fix == f"make {short} longer than these together"


def test_a_rolled_release_is_a_minor_version_of_rows_known_by_then(tmp_path):
    first = released(tmp_path, SPEC)
    second = released(tmp_path, rolled(SPEC, APRIL, "14d", "7d"))
    assert (first.version, second.version, second.change) == ("1.0.0", "1.1.0", "MINOR")
    assert "split bound train_until: rolled" in second.reasons
    again = released(tmp_path, rolled(SPEC, APRIL, "14d", "7d"))
    assert again == second
    data = headrace.open("delays@1.1.0", tmp_path)
    newest = data.split("test").arrow["t"].cast("int64").to_numpy().max()
    assert newest <= APRIL - 48 * HOUR  # horizon and settle time: what was mature at the moment


def test_faulty_spans_are_in_no_split_and_are_counted(tmp_path):
    spec = rolled(SPEC, APRIL, "14d", "7d")
    whole = released(tmp_path, spec)
    spans = [
        Withheld(parse_iso("2013-02-04"), parse_iso("2013-02-11"), "frozen wind"),
        Withheld(parse_iso("2013-04-14"), parse_iso("2013-04-15"), "wind is missing"),
    ]
    made = released(tmp_path, spec, withheld=spans)
    assert made.change == "MINOR"
    t = frame()["t"].to_numpy()
    for split, span in zip(("train", "test"), spans, strict=True):
        faulty = int(np.sum((t >= span.from_us) & (t < span.until_us)))
        assert made.splits[split].left_out["withheld"] == faulty > 0
    data = headrace.open(made.ref, tmp_path)
    for name in ("train", "valid", "test"):
        t = data.split(name).arrow["t"].cast("int64").to_numpy()
        for span in spans:
            assert not np.any((t >= span.from_us) & (t < span.until_us))
    assert Manifest.from_json(made.to_json()) == made
    assert tuple(map(Withheld.from_json, made.withheld)) == tuple(spans)
    assert "withheld" not in whole.to_json()


def test_a_moment_is_stored_to_the_microsecond():
    moved = rolled(SPEC, APRIL + 1, "14d", "7d")
    assert moved.splits.bounds[2] == APRIL + 1 == parse_iso(iso(APRIL + 1))
    assert moved.splits.bounds[1] == APRIL + 1 - 7 * DAY

"""Coverage: the same shares as a loop finds, stored with a release, and readable."""

import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import headrace
from headrace.cli.app import app
from headrace.core.errors import DeclarationError, StateError
from headrace.datasets import Evaluation, GroupSplits, release
from headrace.datasets.coverage import coverage
from headrace.datasets.evaluation_access import count
from headrace.datasets.manifest import ManifestColumn
from headrace.datasets.stored_coverage import coverage_of
from headrace.reports.coverage_page import page, percent, picture
from tests.datasets.frames import DEFINITIONS, INPUTS, SPEC, frame, put
from tests.examples import examples

COLUMNS = (
    ManifestColumn("t", "timestamp", "time"),
    ManifestColumn("x", "float64", "feature"),
    ManifestColumn("s", "string", "feature"),
    ManifestColumn("u", "string", "spine"),
    ManifestColumn("y", "int64", "label"),
)
ROWS = st.lists(
    st.tuples(
        st.sampled_from([None, 0.0, 1.0, 2.5, -3.0, math.nan, math.inf]),
        st.sampled_from([None, "a", "b", "c"]),
        st.sampled_from(["p", "q", None]),
    ),
    min_size=1,
    max_size=40,
)


def table(rows):
    return pa.table(
        {
            "t": pa.array(range(len(rows)), pa.timestamp("us", "UTC")),
            "x": pa.array([r[0] for r in rows], pa.float64()),
            "s": pa.array([r[1] for r in rows], pa.string()),
            "u": pa.array([r[2] for r in rows], pa.string()),
            "y": pa.array([0] * len(rows), pa.int64()),
        }
    )


def is_null(value):
    return value is None or value != value


@settings(max_examples=examples(80))
@example([(0.0, "a", "p"), (0.0, "b", "q")], [(0.0, "a", "p"), (0.0, "b", "z"), (0.0, "a", "q")])
@given(ROWS, ROWS)
def test_shares_are_those_of_a_loop(train, recent):
    found = coverage(table(train), table(recent), COLUMNS)
    known = [r[0] for r in train if not is_null(r[0])]
    outside = []
    for row in recent:
        flags = {}
        for place, name in enumerate(("x", "s", "u")):
            value, seen = row[place], [r[place] for r in train if not is_null(r[place])]
            if is_null(value):
                flags[name] = not any(is_null(r[place]) for r in train)
            elif name == "x":
                flags[name] = not known or not min(known) <= value <= max(known)
            else:
                flags[name] = value not in seen
        outside.append(flags)
    share = lambda flags: sum(flags) / len(flags)
    for name in ("x", "s", "u"):
        assert math.isclose(
            found["columns"][name]["outside"], share([one[name] for one in outside]), rel_tol=1e-8
        )
    moved = [n for n in ("x", "s", "u") if share([one[n] for one in outside]) > 0.5]
    assert found["moved"] == moved
    kept = [any(one[n] for n in one if n not in moved) for one in outside]
    assert math.isclose(found["rows"], share(kept), rel_tol=1e-8)
    for name, place in (("s", 1), ("u", 2)):
        if name in found["segments"]:
            for line in found["segments"][name]:
                rows = [n for n, r in enumerate(recent) if r[place] == line["value"]]
                assert line["rows"] == len(rows)
                assert math.isclose(line["outside"], share([kept[n] for n in rows]), rel_tol=1e-8)
    pairs = Counter((r[1], r[2]) for r in train)
    for pair in found["pairs"]:
        new = [
            (r[1], r[2]) not in pairs and not flags["s"] and not flags["u"]
            for r, flags in zip(recent, outside, strict=True)
        ]
        assert math.isclose(pair["outside"], share(new), rel_tol=1e-8)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    again = coverage(table(train[::-1]), table(recent), COLUMNS)
    assert again == found, "no order of rows"


def test_tails_and_rare_values():
    train = [(float(n), "often" if n % 1000 else "rare", "p") for n in range(2001)]
    recent = [(1.0, "rare", "p"), (1999.5, "often", "p"), (1000.0, "new", "p")]
    found = coverage(table(train), table(recent), COLUMNS)["columns"]
    assert found["x"]["quantiles"] == [2.0, 1998.0]
    assert found["x"]["beyond"] == pytest.approx(2 / 3)
    assert found["x"]["outside"] == 0
    assert (found["s"]["rare"], found["s"]["unseen"]) == (pytest.approx(1 / 3),) * 2
    assert found["s"]["examples"] == [{"value": "new", "rows": 1}]


def released(store, rows, **changes):
    return release(
        replace(SPEC, **changes),
        rows,
        inputs=INPUTS,
        definitions=DEFINITIONS,
        mode="declared",
        code_revision="r1",
        store=store,
    )


def test_a_release_says_what_its_training_does_not_cover(tmp_path):
    rows = frame()
    late = rows["t"].to_numpy() >= SPEC.splits.bounds[2] - 1
    carrier = np.where(late, "NEW", np.array(rows["calendar__carrier"].to_pylist()))
    manifest = released(tmp_path, put(rows, "calendar__carrier", pa.array(carrier)))
    data = headrace.open("delays", tmp_path)
    found = coverage_of(data)
    assert found == data.store.get_json(manifest.coverage)
    later = rows["t"].to_numpy() >= SPEC.splits.bounds[0]
    assert found["recent_rows"] == later.sum(), "with a label or not, in a split or not"
    unseen = found["columns"]["calendar__carrier"]
    assert unseen["unseen"] == pytest.approx(late.sum() / later.sum(), rel=1e-8)
    assert unseen["examples"][0]["value"] == "NEW"
    assert found["columns"]["origin"]["outside"] == 0
    assert "flight" not in found["columns"], "what names a row is no support"
    assert "late" not in found["columns"], "no label is looked at"
    other = coverage_of(data, data.split("train").arrow)
    assert other["rows"] == 0
    with pytest.raises(DeclarationError, match="the rows lack weather__wind"):
        coverage_of(data, rows.drop_columns(["weather__wind"]))


def test_splits_without_a_bound_are_told_of_all_other_rows(tmp_path):
    manifest = released(tmp_path, frame(), splits=GroupSplits(("flight",), 0.5, 0.25, 0.25))
    data = headrace.open("delays", tmp_path)
    assert coverage_of(data)["recent_rows"] == 4_000 - manifest.splits["train"].rows


def test_a_report_of_another_release_or_format_is_told(tmp_path):
    released(tmp_path, frame(), evaluation=Evaluation(0.2, "2013-04-01"))
    data = headrace.open("delays", tmp_path)
    without = replace(data, manifest=replace(data.manifest, coverage=""))
    found = coverage_of(without)
    splits = data.manifest.splits
    assert found["recent_rows"] == splits["valid"].rows + splits["test"].rows
    assert count(data.store, data.manifest) == 0, "no look at the evaluation split"
    newer = data.store.put_json({"format": 2})
    with pytest.raises(StateError, match="reads up to 1"):
        coverage_of(replace(data, manifest=replace(data.manifest, coverage=newer)))


def test_the_command_tells_and_writes_a_page(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_STORE", str(tmp_path / "store"))
    rows = frame()
    carrier = np.array(rows["calendar__carrier"].to_pylist(), dtype=object)
    carrier[-1000:] = "<b>"
    released(tmp_path / "store", put(rows, "calendar__carrier", pa.array(carrier)))
    run = CliRunner().invoke
    done = run(app, ["dataset", "coverage", "delays", "--html", str(tmp_path / "c.html")])
    assert done.exit_code == 0, done.output
    assert "recent rows have a value in some column that the" in done.output
    assert "never seen: <b>" in done.output
    text = (tmp_path / "c.html").read_text()
    assert "&lt;b&gt;" in text
    assert "<b>" not in text
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")
    found = json.loads(run(app, ["dataset", "coverage", "delays", "--json"]).output)
    assert found["ref"] == "delays@1.0.0"
    assert found["columns"]["calendar__carrier"]["unseen"] > 0.1
    pq.write_table(rows.slice(0, 50), tmp_path / "rows.parquet")
    some = run(
        app, ["dataset", "coverage", "delays", "--rows", str(tmp_path / "rows.parquet"), "--json"]
    )
    assert json.loads(some.output)["recent_rows"] == 50
    broken = run(app, ["dataset", "coverage", "delays", "--rows", str(tmp_path / "c.html")])
    assert broken.exit_code == 3
    assert "give a Parquet file" in broken.output


def test_pictures_and_pages_of_nothing():
    found = coverage(table([(1.0, "a", "p")]), table([(1.0, "a", "p")]).slice(0, 0), COLUMNS)
    assert "nothing is outside" in picture(found, "Nothing")
    assert "No recent rows" in page(found, "d@1.0.0")
    assert (percent(0), percent(1e-6), percent(0.25)) == ("0.00%", "<0.01%", "25.00%")

import json
import os
import shutil
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import headrace
from headrace.core.errors import DeclarationError, StateError
from headrace.datasets import content_hash, label_cuts, list_releases, release
from headrace.datasets.governance.privacy import Drop, Pseudonymise
from headrace.datasets.store.store import Store
from tests.datasets.frames import DEFINITIONS, INPUTS, SPEC, frame, put

GIVEN = {
    "inputs": INPUTS,
    "definitions": DEFINITIONS,
    "mode": "declared",
    "code_revision": "r1",
}
ROWS = frame()
HALF = ROWS.take(list(range(0, 4_000, 2)))


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


def made(store, rows=ROWS, spec=SPEC, **changes):
    return release(spec, rows, store=store, **{**GIVEN, **changes})


def tree(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_first_release_opens_as_what_was_put_in(store):
    manifest = made(store)
    opened = headrace.open("delays@1.0.0", store)
    table = opened.arrow
    assert manifest.ref == opened.ref == "delays@1.0.0"
    assert opened.columns == tuple(table.column_names) == tuple(opened.schema.names)
    assert opened.columns == (
        *("flight", "origin", "t", "distance"),
        *("calendar__carrier", "calendar__hour", "carrier_1d__delay_mean", "weather__wind"),
        *("late", "split"),
    )
    assert manifest.features == opened.columns[4:8]
    assert content_hash(table) == manifest.content_hash
    assert table.num_rows == len(opened) == manifest.rows
    by_key = {row["flight"]: row for row in ROWS.to_pylist()}
    for row in table.slice(0, 50).to_pylist():
        source = by_key[row["flight"]]
        assert {name: row[name] for name in source if name in row and name != "t"} == {
            name: source[name] for name in source if name in row and name != "t"
        }


def test_every_row_of_the_frame_is_accounted_for(store):
    manifest = made(store)
    counts = [dict(split.left_out) for split in manifest.splits.values()]
    left = sum(sum(count.values()) for count in (*counts, manifest.left_out))
    assert manifest.rows + left == ROWS.num_rows
    assert set(counts[0]) == {"cancelled", "embargo"}
    assert set(counts[2]) == {"cancelled", "immature"}
    assert set(manifest.left_out) == {"outside"}


def test_rows_are_ordered_and_labels_mature(store):
    made(store)
    for name in ("train", "valid", "test"):
        part = headrace.open("delays", store, split=name).arrow
        t = part.column("t").cast(pa.int64())
        assert part.num_rows
        assert t.equals(t.take(pc.sort_indices(t)))
        assert (t.to_numpy() + SPEC.label.matures_after <= label_cuts(SPEC, t.to_numpy())).all()


def test_manifest_and_objects_do_not_depend_on_the_frames_order(store, tmp_path):
    order = pc.sort_indices(ROWS, [("weather__wind", "ascending")])
    shuffled = ROWS.take(order).select(sorted(ROWS.column_names, reverse=True))
    one, other = made(store), made(tmp_path / "other", shuffled)
    assert one == other
    assert one.id == other.id
    left, right = tree(store), tree(tmp_path / "other")
    moving = "datasets/delays/1.0.0/manifest.json"
    one, other = (json.loads(found.pop(moving)) for found in (left, right))
    assert one.pop("created_at")
    assert other.pop("created_at")
    assert one == other
    assert left == right


def test_a_second_release_of_the_same_changes_nothing(store):
    first = made(store)
    before = tree(store)
    assert made(store, code_revision="r2") == first
    assert tree(store) == before


def test_versions_follow_each_other_and_say_why(store):
    made(store)
    made(store, ROWS.slice(100))
    made(store, ROWS.slice(100), spec=replace(SPEC, description="better said"))
    third = made(store, definitions={**DEFINITIONS, "weather": "0" * 64})
    lines = list_releases(store)
    assert [line.ref for line in lines] == [
        "delays@1.0.0",
        "delays@1.1.0",
        "delays@1.1.1",
        "delays@2.0.0",
    ]
    assert lines[1].content_hash == lines[2].content_hash != lines[0].content_hash
    assert third.previous == lines[2].manifest_id
    assert third.reasons == ("definition of weather: changed",)
    for line in lines:
        assert headrace.open(line.ref, store).verify().ok


def test_equal_splits_share_their_object(store):
    first = made(store)
    second = made(store, spec=replace(SPEC, splits=replace(SPEC.splits, test_until="2013-05-09")))
    assert second.version == "1.1.0"
    assert first.splits["train"] == second.splits["train"]


def test_batches_are_listed_in_an_object(store):
    manifest = made(store)
    given = manifest.inputs["outcomes"]
    assert given.batch_count == 3
    assert Store(store).get_json(given.batch_list) == ["b1", "b2", "b3"]


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"purposes": ("monitoring",)}, "weather: it allows monitoring only"),
        ({"purposes": ()}, "weather: it allows no purpose only"),
        ({"licence": ""}, "weather: it states no licence"),
        ({"licence": "CC-BY-ND-4.0"}, "weather: its licence CC-BY-ND-4.0 forbids derived works"),
    ],
)
def test_a_source_may_forbid_the_release(store, changes, says):
    inputs = {**INPUTS, "weather": replace(INPUTS["weather"], **changes)}
    with pytest.raises(DeclarationError, match=says):
        made(store, inputs=inputs)
    assert not store.exists()


def test_a_key_in_two_splits_is_a_leak(store):
    doubled = put(ROWS, "flight", pa.array([f"F{n % 2000}" for n in range(ROWS.num_rows)]))
    with pytest.raises(DeclarationError, match="across splits"):
        made(store, doubled)


def test_a_missing_column_and_a_missing_label_are_named(store):
    with pytest.raises(DeclarationError, match=r"lacks the columns \['late'\]"):
        made(store, ROWS.drop_columns(["late"]))
    with pytest.raises(DeclarationError, match="neither a label nor a reason"):
        made(store, put(ROWS, "label_reason", pa.nulls(ROWS.num_rows, pa.string())))


def test_an_early_release_has_empty_splits(store):
    manifest = made(store, cutoff=SPEC.splits.bounds[0])
    assert [split.rows > 0 for split in manifest.splits.values()] == [True, False, False]
    assert headrace.open("delays", store).verify().ok
    assert headrace.open("delays", store, split="test").arrow.num_rows == 0
    grown = made(store)
    assert (grown.version, grown.change) == ("1.1.0", "MINOR")


def test_a_view_named_like_a_spine_column_does_not_make_it_a_feature(store):
    names = {"weather__wind": "distance__near", "calendar__hour": "hour"}
    rows = ROWS.rename_columns([names.get(name, name) for name in ROWS.column_names])
    manifest = made(store, rows, definitions={"distance": "0" * 64, "hour": "1" * 64})
    assert manifest.of_role("feature") == ("distance__near", "hour")
    assert "distance" in manifest.of_role("spine")


def test_statistics_are_of_the_split(store):
    manifest = made(store)
    found = manifest.splits["train"].statistics["carrier_1d__delay_mean"]
    part = headrace.open("delays", store, split="train").arrow.column("carrier_1d__delay_mean")
    assert found["rows"] == len(part)
    assert found["nulls"] == part.null_count > 0
    assert found["mean"] == pytest.approx(pc.mean(part).as_py())
    assert found["max"] == pc.max(part).as_py()


def test_an_existing_version_is_never_overwritten(store):
    manifest = made(store)
    before = tree(store)
    with pytest.raises(StateError, match="never overwritten"):
        Store(store).publish(replace(manifest, rows=0))
    assert tree(store) == before


DIE = """
    import os, sys
    from pathlib import Path
    sys.path.insert(0, os.getcwd())
    from tests.datasets.test_release import made, HALF

    left = int(sys.argv[2])
    def dying(real):
        def step(*given, **named):
            global left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), 9)
            return real(*given, **named)
        return step
    # Every step by which a file of a store comes to be.
    os.link = dying(os.link)
    Path.replace = dying(Path.replace)
    print(made(Path(sys.argv[1]), HALF).ref)
"""


def test_killed_between_any_two_steps_the_last_good_state_stands(store, tmp_path):
    made(store)
    done, steps = False, 0
    while not done:
        copy = shutil.copytree(store, tmp_path / f"killed_{steps}")
        run = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(DIE), str(copy), str(steps)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": "src"},
            check=False,
        )
        done = run.returncode == 0
        assert done or run.returncode == -9, run.stderr
        refs = [line.ref for line in list_releases(copy)]
        assert refs == ["delays@1.0.0", "delays@1.1.0"][: 1 + done]
        assert all(headrace.open(ref, copy).verify().ok for ref in refs)
        assert made(copy, HALF).ref == "delays@1.1.0", "and the rerun completes"
        steps += 1
    assert steps == 6, "three parts, the coverage report, the manifest, an undisturbed run"


def test_terms_and_treatments_go_into_the_manifest(store, monkeypatch):
    monkeypatch.setenv("HEADRACE_PRIVACY_KEY", "k" * 32)
    inputs = {**INPUTS, "weather": replace(INPUTS["weather"], licence="CC-BY-4.0", owner="met")}
    spec = replace(SPEC, privacy={"flight": Pseudonymise(), "distance": Drop()})
    first = made(store, spec=spec, inputs=inputs)
    assert first.terms["credits"] == ["weather, by met, under CC-BY-4.0"]
    assert first.privacy["flight"]["treatment"] == "pseudonymise"
    assert "distance" not in [column.name for column in first.columns]
    shown = json.dumps(first.to_json())
    assert "F000" not in shown
    assert "k" * 32 not in shown
    assert made(store, spec=spec, inputs=inputs).id == first.id
    monkeypatch.setenv("HEADRACE_PRIVACY_KEY", "x" * 32)
    rotated = made(store, spec=spec, inputs=inputs)
    assert (rotated.version, rotated.reasons[0]) == (
        "2.0.0",
        "privacy of flight: another key or step",
    )


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", None])
def test_the_time_means_the_same_in_every_unit(store, unit, zone):
    """The default of pandas was taken for microseconds: all rows fell out, or into 1970."""
    moments = ROWS["t"].cast(pa.timestamp("us", zone)).cast(pa.timestamp(unit, zone))
    assert made(store, put(ROWS, "t", moments)).content_hash == made(store).content_hash


@pytest.mark.parametrize("wrong", ["nanoseconds", "nulls", "text"])
def test_a_time_that_is_none_is_refused(store, wrong):
    t = {
        "nanoseconds": pa.array(np.arange(ROWS.num_rows), pa.timestamp("ns", "UTC")),
        "nulls": pa.array([None, *ROWS["t"].to_pylist()[1:]], pa.int64()),
        "text": pa.array(["noon"] * ROWS.num_rows),
    }[wrong]
    with pytest.raises(DeclarationError, match="t is not a prediction time"):
        made(store, put(ROWS, "t", t))


def test_minus_zero_is_no_key_of_its_own(store):
    """The content hash and the order take it for zero."""
    zeros = np.where(np.arange(ROWS.num_rows) % 2, 0.0, -0.0)
    twice = put(ROWS, "flight", pa.array([f"F{n // 2}" for n in range(ROWS.num_rows)]))
    rows = twice.append_column("leg", pa.array(zeros))
    with pytest.raises(DeclarationError, match="duplicate keys"):
        made(store, rows, replace(SPEC, key=("flight", "leg")))

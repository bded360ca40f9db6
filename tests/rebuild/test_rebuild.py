"""A release is made again from its pins, whatever came since; what differs is named and located."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from headrace.core.errors import DeclarationError, StateError
from headrace.datasets import Store, open_release
from headrace.datasets.fits.transforms import Vocabulary
from headrace.datasets.store.pull import pull
from headrace.datasets.table_diff import locate
from headrace.features import FeatureView, Rows, Window
from headrace.lake.tables.decimals import integers, to_decimals
from headrace.lake.tables.lake import Lake
from headrace.lineage.rebuild import rebuild
from headrace.pipeline import build_release
from headrace.pipeline.build import release_from
from headrace.pipeline.build_context import BuildContext
from headrace.pipeline.pins import let_go, tag_of
from tests.datasets.stores import bucket_root
from tests.serving.world import DAYS, VIEWS, World

REF = "line_lateness@1.0.0"


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch):
    for name in ("HEADRACE_STORE", "HEADRACE_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """Released after ten days, and again after all of them and a correction."""
    world = World(tmp_path_factory.mktemp("grown"))
    world.deliver_days(DAYS[:10])
    world.publish()
    build_release(world.pipeline, world.home)
    world.deliver_days(DAYS[10:])
    rows = world.rows(DAYS[3])["arrivals"]
    world.deliver("arrivals", DAYS[3], world.corrected(rows, delay=7), "-corrected")
    world.publish()
    build_release(world.pipeline, world.home)
    return world


def again(world, ref=REF, **options):
    return rebuild(ref, [world.pipeline], world.home, **options)


def altered(path: Path, column: str, change) -> tuple[int, object, object]:
    """Change one cell of a Parquet file: its row, the value before, and after, as they compute."""
    table = pq.read_table(path)
    values = integers(table[column]).to_pylist()
    row = next(n for n, value in enumerate(values) if value is not None)
    before, values[row] = values[row], change(values[row])
    place, field = table.schema.get_field_index(column), table.schema.field(column)
    kind = pa.int64() if pa.types.is_decimal(field.type) else field.type
    rows = pa.table({column: pa.array(values, kind)})
    changed = to_decimals(rows, pa.schema([field]))[column]
    pq.write_table(
        table.set_column(place, field, changed), path, compression="zstd", store_schema=False
    )
    return row, before, values[row]


@pytest.mark.parametrize("ref", [REF, "line_lateness@latest"])
@pytest.mark.parametrize("threads", [1, 3])
def test_every_release_is_made_again_though_data_was_published_since(grown, ref, threads):
    found = again(grown, ref, threads=threads)
    assert found.equal, found.to_json()
    assert found.same_bytes
    assert found.content_hash == open_release(ref, grown.home.store).content_hash
    assert found.store == ""


def test_the_two_releases_differ_or_the_test_above_says_nothing(grown):
    old, new = (open_release(ref, grown.home.store) for ref in (REF, "line_lateness@latest"))
    assert old.content_hash != new.content_hash
    assert (
        old.manifest.inputs["arrivals"].snapshot_id != new.manifest.inputs["arrivals"].snapshot_id
    )


def test_what_was_made_is_kept_as_a_store_with_the_same_release(grown, tmp_path):
    kept = tmp_path / "kept"
    for _ in range(2):  # the second time it is there
        found = again(grown, to=kept, check=False)
        assert found.equal
        assert found.store == str(kept)
    copy = open_release(REF, kept)
    assert copy.verify().ok
    assert copy.manifest == open_release(REF, grown.home.store).manifest
    assert sorted(path.name for path in kept.iterdir()) == ["datasets", "objects"]


def test_no_view_on_disk_is_used_or_written(grown):
    folder = grown.home.root / "features"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    away = grown.home.root / "features-away"
    folder.rename(away)
    try:
        assert again(grown).equal
        assert not folder.exists()
    finally:
        away.rename(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_cell_flipped_in_a_released_object_is_located(grown, tmp_path):
    store = Store(grown.home.store)
    manifest = store.manifest("line_lateness", "1.0.0")
    path = store.object_path(manifest.splits["valid"].parts[0].object, "parquet")
    kept = path.read_bytes()
    try:
        key = pq.read_table(path)["trip"]
        row, before, after = altered(path, "stop__rows_1d", lambda value: value + 1)
        found = again(grown)
    finally:
        path.write_bytes(kept)
    assert not found.equal
    assert found.content_hash == found.released
    assert "the stored content was altered" in found.summary
    assert "other bytes" in found.stored.problems[0]
    assert found.differences.columns == {"stop__rows_1d": 1}
    (cell,) = found.differences.cells
    assert cell.key == {"trip": key[row].as_py()}
    assert (cell.split, cell.column) == ("valid", "stop__rows_1d")
    assert (cell.stored, cell.rebuilt) == (after, before)


def test_a_cell_flipped_in_a_table_file_is_located(grown):
    """In the label of one arrival: in the release, that very row changes and no other."""
    manifest = Store(grown.home.store).manifest("line_lateness", "1.0.0")
    files = Lake(grown.home).files("plan", manifest.inputs["plan"].snapshot_id)
    path = Path(files[4].path)
    kept = path.read_bytes()
    try:
        trip, lines = pq.read_table(path)["trip"], pq.read_table(path)["_line"].to_pylist()
        row, before, after = altered(path, "fare", lambda value: value + 100_00)
        found = again(grown)
    finally:
        path.write_bytes(kept)
    assert not found.equal
    assert found.content_hash != found.released
    assert found.stored.is_whole(found.released)
    line = lines[row]
    mine = [cell for cell in found.differences.cells if cell.key == {"trip": trip[row].as_py()}]
    assert [(c.stored, c.rebuilt) for c in mine if c.column == "fare"] == [(before, after)]
    assert found.differences.columns["fare"] == 1
    (one,) = found.altered_cells
    assert "altered since they were published" in found.summary
    assert (one.table, one.column, one.published, one.delivered) == ("plan", "fare", after, before)
    assert (one.path, one.line) == (str(path), line)
    reached = {"fare", "fare_cents", "ahead__fare_sum_1h_ago_to_3h"}
    assert set(found.differences.columns) <= reached


def test_an_object_that_is_gone_is_said_to_be(grown):
    store = Store(grown.home.store)
    manifest = store.manifest("line_lateness", "1.0.0")
    path = store.object_path(manifest.splits["test"].parts[0].object, "parquet")
    away = path.rename(path.with_suffix(".away"))
    try:
        found = again(grown)
    finally:
        away.rename(path)
    assert not found.equal
    assert found.stored.content_hash == ""
    assert found.differences.only_rebuilt == manifest.splits["test"].rows


def declared_otherwise(world, **changes):
    return replace(world.pipeline, **changes)


def test_a_view_that_came_later_is_left_out(grown):
    more = FeatureView("more", "arrivals", ("stop",), (Rows(Window("-2h")),))
    pipeline = declared_otherwise(grown, views=(*VIEWS, more))
    assert rebuild(REF, [pipeline], grown.home).equal


def test_another_definition_is_refused_with_the_revision_to_take(grown):
    stop = FeatureView("stop", "arrivals", ("stop",), (Rows(Window("-1d")),))
    views = tuple(stop if view.name == "stop" else view for view in VIEWS)
    views = tuple(view for view in views if view.name not in {"busy", "gauge"})
    with pytest.raises(DeclarationError) as refused:
        rebuild(REF, [declared_otherwise(grown, views=views)], grown.home)
    assert "definition of stop" in refused.value.what
    assert "view gauge: no longer declared" in refused.value.what
    assert "definition of line" not in refused.value.what
    assert "git worktree add" in refused.value.fix or "as it was when" in refused.value.fix


def test_another_contract_is_refused(grown):
    tables = tuple(
        replace(one, contract=replace(one.contract, version="1.1.0", meaning_hash="0" * 64))
        if one.name == "gauges"
        else one
        for one in grown.pipeline.tables
    )
    with pytest.raises(DeclarationError, match=r"contract of gauges: 1\.1\.0, it was"):
        rebuild(REF, [declared_otherwise(grown, tables=tables)], grown.home)


def test_another_split_rule_is_refused_and_rolled_bounds_are_not(grown):
    dataset = grown.pipeline.dataset
    wider = replace(dataset, splits=replace(dataset.splits, embargo="1d"))
    with pytest.raises(DeclarationError, match="split rule embargo_us"):
        rebuild(REF, [declared_otherwise(grown, dataset=wider)], grown.home)
    rolled = replace(
        dataset, splits=replace(dataset.splits, train_until="2024-03-10"), cutoff="2024-03-20"
    )
    assert rebuild(REF, [declared_otherwise(grown, dataset=rolled)], grown.home).equal


def test_a_pipeline_that_is_not_here_is_named(grown):
    with pytest.raises(DeclarationError, match="was made by pipeline 'lines'"):
        rebuild(REF, [replace(grown.pipeline, name="others")], grown.home)


def test_a_frame_released_by_hand_is_refused(grown, tmp_path):
    manifest = Store(grown.home.store).manifest("line_lateness", "1.0.0")
    store = Store(tmp_path)
    store.publish(replace(manifest, pipeline=""))
    with pytest.raises(DeclarationError, match="by hand"):
        rebuild(REF, [grown.pipeline], grown.home, store=tmp_path)


def test_an_erasure_that_is_not_on_record_is_refused(grown, tmp_path):
    manifest = Store(grown.home.store).manifest("line_lateness", "1.0.0")
    Store(tmp_path).publish(replace(manifest, erasures=({"id": "e1"},)))
    with pytest.raises(StateError, match="no record of erasure e1"):
        rebuild(REF, [grown.pipeline], grown.home, store=tmp_path)


@pytest.mark.parametrize("what", ["snapshot", "file"])
def test_what_is_gone_is_named(grown, tmp_path, what):
    manifest = Store(grown.home.store).manifest("line_lateness", "1.0.0")
    if what == "snapshot":
        given = replace(manifest.inputs["plan"], snapshot_id=12345)
        Store(tmp_path).publish(replace(manifest, inputs={**manifest.inputs, "plan": given}))
        with pytest.raises(StateError, match="no snapshot 12345"):
            rebuild(REF, [grown.pipeline], grown.home, store=tmp_path)
        return
    path = Path(Lake(grown.home).files("plan", manifest.inputs["plan"].snapshot_id)[0].path)
    away = path.rename(path.with_suffix(".away"))
    try:
        with pytest.raises(StateError, match=r"files of snapshot .* are gone: 1"):
            again(grown)
    finally:
        away.rename(path)


def test_the_command_says_equal_and_exits_so(grown, monkeypatch):
    from headrace.cli.app import app

    monkeypatch.setenv("HEADRACE_HOME", str(grown.home.root))
    monkeypatch.setattr("headrace.pipeline.project_pipelines", lambda: [grown.pipeline])
    run = CliRunner().invoke
    done = run(app, ["dataset", "rebuild", REF, "--check", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["equal"] is True
    assert told["content_hash"] == open_release(REF, grown.home.store).content_hash
    assert run(app, ["dataset", "rebuild", REF]).exit_code == 2
    assert run(app, ["dataset", "rebuild", "line_lateness@9.0.0", "--check"]).exit_code == 3
    store = Store(grown.home.store)
    part = store.manifest("line_lateness", "1.0.0").splits["train"].parts[0]
    path = store.object_path(part.object, "parquet")
    kept = path.read_bytes()
    try:
        altered(path, "late", lambda value: 1 - value)
        done = run(app, ["dataset", "rebuild", REF, "--check"])
    finally:
        path.write_bytes(kept)
    assert done.exit_code == 1
    assert "late is" in done.stdout


def test_a_pin_holds_until_the_release_is_let_go(grown):
    lake, store = Lake(grown.home), Store(grown.home.store)
    manifest = store.manifest("line_lateness", "1.0.0")
    tag = tag_of(REF, manifest.id)
    for table, given in manifest.inputs.items():
        tags = lake.tags(table)
        assert tags[tag] == given.snapshot_id
        assert not any(name.startswith("hold-") for name in tags)
    let_go(lake, "gauges", tag)
    assert tag not in lake.tags("gauges")
    lake.pin("gauges", manifest.inputs["gauges"].snapshot_id, tag)


def test_fits_are_made_again_and_compared(grown, tmp_path):
    fitted = (Vocabulary(("line",)),)
    pipeline = declared_otherwise(grown, dataset=replace(grown.pipeline.dataset, fits=fitted))
    first = rebuild(REF, [pipeline], grown.home)
    assert (first.equal, len(first.fits)) == (False, 1)
    assert "fitted transforms differ" in first.summary
    inputs = Store(grown.home.store).manifest("line_lateness", "1.0.0").inputs
    pins = {table: given.snapshot_id for table, given in inputs.items()}
    context = BuildContext(pipeline, grown.home, pins=pins, cache=tmp_path / "views")
    made = release_from(context, tmp_path / "store", inputs)
    assert len(made.fits) == 1
    assert rebuild(REF, [pipeline], grown.home, store=tmp_path / "store").equal


def test_from_a_bucket_and_of_format_1(grown, tmp_path, monkeypatch):
    bucket = bucket_root(monkeypatch)
    pull(REF, bucket, grown.home.store)
    found = again(grown, store=bucket, to=tmp_path / "kept")
    assert found.equal
    assert open_release(REF, tmp_path / "kept").verify().ok
    store = Store(tmp_path / "old")
    pull(REF, store.root, grown.home.store)
    manifest = store.manifest("line_lateness", "1.0.0")
    store.storage.delete("datasets/line_lateness/1.0.0/manifest.json")
    store.publish(replace(manifest, format=1, pipeline=""))
    assert "pipeline" not in store.manifest("line_lateness", "1.0.0").to_json()
    found = again(grown, store=store.root, to=tmp_path / "kept of old")
    assert found.equal
    assert Store(tmp_path / "kept of old").manifest("line_lateness", "1.0.0").format == 1
    with pytest.raises(DeclarationError, match="was made by a pipeline with a dataset"):
        rebuild(REF, [], grown.home, store=store.root)


KEYED = pa.table(
    {
        "k": pa.array([1, 2, 3]),
        "x": pa.array([0.0, float("nan"), None]),
        "s": pa.array(["", None, "c"]),
        "split": ["train", "train", "test"],
    }
)


def test_cells_that_the_content_hash_takes_for_equal_are(tmp_path):
    other = KEYED.set_column(1, "x", pa.array([-0.0, float("nan"), None])).take([2, 0, 1])
    assert locate(KEYED, other, ["k"]).is_empty


def test_every_kind_of_difference_is_told():
    other = pa.table(
        {
            "k": pa.array([1, 2, 4]),
            "x": pa.array([5e-324, None, None]),
            "s": pa.array([None, None, "c"]),
            "split": ["train", "valid", "test"],
        }
    )
    found = locate(KEYED, other, ["k"])
    assert found.columns == {"x": 2, "s": 1, "split": 1}
    assert [(c.key["k"], c.column, c.stored, c.rebuilt) for c in found.cells] == [
        (1, "x", 0.0, 5e-324),
        (1, "s", "", None),
        (2, "x", "nan", None),
        (2, "split", "train", "valid"),
    ]
    assert (found.only_stored, found.only_rebuilt) == (1, 1)
    assert found.rows == (
        {"side": "stored", "split": "test", "k": 3},
        {"side": "rebuilt", "split": "test", "k": 4},
    )
    fewer = locate(KEYED, other.drop_columns(["s"]), ["k"], limit=1)
    assert fewer.schema == ("s: only stored",)
    assert len(fewer.cells) == 1
    assert fewer.columns == {"x": 2, "split": 1}


def test_rows_that_were_taken_out_or_put_in_are_found(grown):
    manifest = Store(grown.home.store).manifest("line_lateness", "1.0.0")
    path = Path(Lake(grown.home).files("plan", manifest.inputs["plan"].snapshot_id)[2].path)
    kept = path.read_bytes()
    table = pq.read_table(path)
    more = table.slice(3, 1)
    place = more.schema.get_field_index("_line")
    more = more.set_column(place, more.schema.field("_line"), pa.array([999], pa.int64()))
    trip = more.schema.get_field_index("trip")
    more = more.set_column(trip, more.schema.field("trip"), pa.array([5], pa.int64()))
    try:
        pq.write_table(pa.concat_tables([table.slice(2), more]), path, store_schema=False)
        found = again(grown)
    finally:
        path.write_bytes(kept)
    assert not found.equal
    assert found.differences.only_stored == 2
    told = " ".join(map(str, found.altered_cells))
    assert "the file has 39 rows, but was published with 40" in told
    assert "line 999 was not delivered" in told

"""What a pipeline's monitor is given: who answered what, what is known of it, what gates said."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.core.clock import DAY, HOUR, parse_iso
from headrace.core.errors import DeclarationError
from headrace.datasets import open_release
from headrace.features.labels import attach_label
from headrace.models import promote, train
from headrace.models.training_rows import Recipe
from headrace.monitoring import DecisionLedger, Window
from headrace.monitoring.evidence.model import day_number
from headrace.operations.monitor_run import run_monitors
from headrace.pipeline import build_release, train_model
from headrace.pipeline.build import feature_frame
from headrace.pipeline.build_context import BuildContext
from headrace.pipeline.monitor_inputs import (
    editions,
    gate_rows,
    judged_at,
    label_derived,
    score_rows,
    taught_until,
)
from headrace.pipeline.table_profiles import published_daily, tables_told
from headrace.verification.drift_study.histories import own_history
from tests.serving.world import FIRST, LAST, World

CUT, SECOND = parse_iso("2024-03-08"), parse_iso("2024-03-12")
MOMENT = parse_iso("2024-03-14T06:00:00Z")


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """Released and trained once; do not change."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("HEADRACE_STORE", raising=False)
        world = World(tmp_path_factory.mktemp("lines"))
        world.deliver_days()
        world.publish()
        build_release(world.pipeline, world.home)
        train_model(world.pipeline, world.home)
        yield world


def seen(world, moment=MOMENT):
    context = BuildContext(world.pipeline, world.home)
    frame = feature_frame(context)
    frame = frame.filter(pa.array(frame["t"].to_numpy() < moment))
    return context, frame, score_rows(context, frame, moment)


def test_every_row_the_champion_did_not_learn_from_is_answered_released_or_not(released):
    _, frame, scored = seen(released)
    scores, trained_at, notes = scored.scores, scored.trained_at, scored.notes
    t = frame["t"].to_numpy()
    assert trained_at == CUT
    assert scores["t"].to_pylist() == t[t >= CUT].tolist()
    assert not notes
    found = scores["score"].to_numpy()
    assert ((found > 0) & (found < 1)).all()


def test_a_label_is_what_is_known_of_it_and_null_while_it_is_not_mature(released):
    context, frame, scored = seen(released)
    scores = scored.scores
    pipeline = released.pipeline
    rows = frame.filter(pa.array(frame["t"].to_numpy() >= CUT))
    known = attach_label(rows, pipeline.label, context.history, pipeline.contracts, MOMENT)
    assert scores["label"].to_pylist() == known["late"].to_pylist()
    late = scores["t"].to_numpy() + pipeline.label.matures_after > MOMENT
    assert late.any()
    assert np.all(np.asarray(scores["label"].is_null())[late])


def test_a_row_is_answered_by_the_model_in_charge_when_it_was_predicted(released, monkeypatch):
    world, home = released, released.home
    dataset = open_release("line_lateness@latest", store=home.store)
    first = seen(world)[2].scores["model"][0].as_py()
    other = train(dataset, replace(world.pipeline.model, seed=99, num_rounds=3), home)
    monkeypatch.setattr("headrace.models.registry.now_us", lambda: SECOND)
    promote(home, other, "another")
    try:
        _, frame, scored = seen(world)
        scores = scored.scores
        t = frame["t"].to_numpy()
        expected = np.where(t[t >= CUT] < SECOND, first, other.bundle_id)
        assert scores["model"].to_pylist() == expected.tolist()
    finally:
        folder = home.models / "line_late"
        lines = (folder / "history.ndjson").read_text().splitlines()
        (folder / "champion.json").write_text(lines[0])
        (folder / "history.ndjson").write_text(lines[0] + "\n")


def test_what_is_kept_of_a_model_is_asked_again_for_some_weeks_only(released, monkeypatch):
    scores = seen(released)[2].scores
    model = scores["model"][0].as_py()
    day = int(scores["t"].to_numpy().max() // DAY)
    kept = SimpleNamespace(answer_days=np.array([day - 1, day]), cuts=())
    answered = SimpleNamespace(profiles={model: kept})
    monkeypatch.setattr(
        "headrace.monitoring.profiles.score_store.kept_answers", lambda *_: answered
    )
    monkeypatch.setattr("headrace.pipeline.monitor_inputs._RESCORED", 2 * DAY)
    again = seen(released)[2].scores
    recent = scores["t"].to_numpy() >= (day - 2) * DAY
    assert 0 < again.num_rows < scores.num_rows
    assert again.equals(scores.filter(pa.array(recent)))
    kept.cuts = (SimpleNamespace(column="line"),)  # other segments than those asked for now
    assert seen(released)[2].scores.equals(scores)


def test_a_segment_that_is_no_column_is_an_error(released):
    monitor = replace(released.pipeline.monitor, segments=("line", "lines"))
    context = BuildContext(replace(released.pipeline, monitor=monitor), released.home)
    with pytest.raises(DeclarationError, match="segments are not in the frame: lines"):
        score_rows(context, feature_frame(context), MOMENT)


def test_a_model_that_also_learned_from_the_valid_rows_does_not_answer_them(released):
    record = SimpleNamespace(dataset="line_lateness@1.0.0", params={"recipe": {"with_valid": True}})
    assert taught_until(released.home, record) == parse_iso("2024-03-11")
    assert taught_until(released.home, SimpleNamespace(dataset="gone@1.0.0", params={})) is None


def test_a_history_is_studied_on_what_its_champion_has_not_learned_from(released, monkeypatch):
    pipeline, home = released.pipeline, released.home
    history = own_history(pipeline, home)
    assert history.scores["t"][0].as_py() >= CUT
    assert history.label_derived == ("line__late_mean_7d",)
    dataset = open_release("line_lateness@latest", store=home.store)
    both = train(dataset, pipeline.model, home, Recipe("all", rounds=3, with_valid=True))
    monkeypatch.setattr("headrace.models.champion", lambda *_: both)
    later = own_history(pipeline, home)
    assert later.scores["t"][0].as_py() >= parse_iso("2024-03-11")
    assert later.frame.equals(history.frame)


def test_a_model_whose_features_mean_something_else_now_is_silent_and_says_so(released):
    world = released
    views = tuple(view for view in world.pipeline.views if view.name != "gauge")
    changed = replace(world.pipeline, views=views)
    context = BuildContext(changed, world.home)
    scored = score_rows(context, feature_frame(context), MOMENT)
    assert scored.scores is None
    assert "are not those the model was trained on" in scored.notes[0]


def test_features_made_of_the_label_are_known_from_lineage(released):
    found = label_derived(released.pipeline)
    assert found == ("line__late_mean_7d",)


def test_slots_that_are_still_to_come_are_not_missing(released):
    context = BuildContext(released.pipeline, released.home)
    rows = list(gate_rows(context, MOMENT))
    assert max(row["slot"] for row in rows) == "2024-03-13"
    assert {row["verdict"] for row in rows} == {"PASS"}


def test_nothing_is_judged_after_the_last_slot_or_after_now(released):
    end = parse_iso(LAST) + DAY
    assert judged_at(released.pipeline, end + 9 * DAY) == end
    assert judged_at(released.pipeline, end - HOUR) == end - HOUR
    moved = replace(released.pipeline.monitor, offset="-5h")
    assert judged_at(replace(released.pipeline, monitor=moved), end + DAY) == end + 5 * HOUR


def test_editions_of_a_table_that_is_delivered_whole_say_until_when_they_know(tmp_path):
    moments = [parse_iso("2024-03-02"), parse_iso("2024-03-09")]
    paths = []
    for moment in moments:
        paths.append(str(tmp_path / f"{moment}.parquet"))
        known = pa.array([moment - HOUR, moment], pa.timestamp("us", "UTC"))
        pq.write_table(pa.table({"known_at": known}), paths[-1])
    whole = SimpleNamespace(name="stops", partitioned=False)
    context = SimpleNamespace(live={"stops": [SimpleNamespace(path=path) for path in paths]})
    found = list(editions(context, whole))
    assert sorted(row["known_at"] for row in found) == moments
    assert list(editions(SimpleNamespace(live={"stops": []}), whole)) == []


def test_tables_are_told_of_a_window_from_what_their_batches_left(released):
    context = BuildContext(released.pipeline, released.home)
    first = day_number("2024-03-04")
    window = Window(first, first + 3)
    daily = published_daily(context, released.pipeline.table("arrivals"), window)
    rows = context.history("arrivals", ["delay", "line"])
    event = rows["event_time"].cast(pa.int64()).to_numpy() // DAY
    inside = rows.filter(pa.array((event >= window.first) & (event < window.end)))
    delays = sorted(v for v in inside["delay"].to_pylist() if v is not None)
    found = daily.roll(window.first, window.end)
    assert daily.rows.tolist() == [40, 40, 40]
    assert found["delay"].nulls[0] == inside["delay"].null_count
    assert found["delay"].quantile(0.5) == delays[(len(delays) - 1) // 2]
    counted = zip(found["line"].cells.tolist(), found["line"].counts.tolist(), strict=True)
    named = {found["line"].names[cell]: count for cell, count in counted}
    assert named == Counter(inside["line"].to_pylist())
    assert "| arrivals | 120 | delay |" in tables_told(context, window)


def test_the_moment_of_judgement_is_given(released):
    early = run_monitors(released.pipeline, released.home, parse_iso(FIRST) + 8 * DAY)
    again = run_monitors(released.pipeline, released.home, parse_iso(FIRST) + 8 * DAY)
    later = run_monitors(released.pipeline, released.home)
    assert early.metadata["windows"] == 2  # the first one holds what was predicted the day before
    assert early.changed
    assert not again.changed
    assert later.metadata["windows"] == 3
    assert len(DecisionLedger(released.home).entries("lines")) == 3

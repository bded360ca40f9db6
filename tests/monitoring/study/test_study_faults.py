"""Planted faults do what they say, and nothing else."""

from dataclasses import replace
from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from headrace.verification.drift_study.fault_catalogue import CATALOGUE, Planted, plant
from headrace.verification.drift_study.replayed_history import (
    ReplayedHistory,
    load_history,
    save_history,
)
from headrace.verification.drift_study.row_edits import rows_of
from tests.monitoring.study.histories import A_DAY, made

history = cache(made)
AT = 25
NAMED = {fault.name: fault for fault in CATALOGUE}


def planted(name: str, seed: int = 1) -> Planted:
    fault = NAMED[name]
    return plant(fault, history(), history().windows()[AT : AT + fault.lasts], seed)


def inside(history: ReplayedHistory, done: Planted) -> np.ndarray:
    first, last = done.windows[0].first, done.windows[-1].end
    return (history.day >= first) & (history.day < last)


@pytest.mark.parametrize("fault", CATALOGUE, ids=lambda one: one.name)
def test_a_fault_stays_within_its_windows_and_is_the_same_every_time(fault):
    done, again = (
        plant(fault, history(), history().windows()[AT : AT + fault.lasts], 1) for _ in range(2)
    )
    assert done.history.frame.equals(again.history.frame)
    assert done.history.scores.equals(again.history.scores)
    outside, other = ~inside(history(), done), ~inside(done.history, done)
    assert history().frame.filter(outside).equals(done.history.frame.filter(other))
    late, later = (len(h.t) - h.scores.num_rows for h in (history(), done.history))
    assert history().scores.filter(outside[late:]).equals(done.history.scores.filter(other[later:]))
    changed = not done.history.frame.equals(history().frame)
    assert changed == (fault.kind != "concept")


def test_scores_are_the_models_on_the_changed_inputs():
    done = planted("sensor bias of 2 sd").history
    late = done.frame.slice(done.first_scored)
    assert np.array_equal(done.scores["score"].to_numpy(), done.scorer(late))


def test_a_covariate_shift_moves_the_inputs_and_keeps_the_relation():
    done = planted("covariate shift of 1 sd")
    name, part = done.touched[0], inside(done.history, done)
    now = done.history.frame[name].to_numpy()[part]
    before = history().frame[name].to_numpy()[inside(history(), done)]
    assert abs(now.mean() - before.mean()) > 0.5 * before.std()
    # Every row is a row that was there, with the label that it had there.
    known = dict(_rows(history(), done))
    drawn = list(_rows(done.history, done))
    assert all(known[row] == label for row, label in drawn)


def _rows(history: ReplayedHistory, done: Planted):
    part = inside(history, done)
    frame = history.frame.filter(pa.array(part))
    label = history.scores["label"].filter(pa.array(part[history.first_scored :])).to_pylist()
    columns = [frame[name].to_pylist() for name in frame.column_names]
    yield from zip(zip(*columns, strict=True), label, strict=True)


def test_a_flip_changes_only_labels_of_the_segment_and_only_a_share_of_them():
    done = planted("15% segment, half flipped")
    was, now = (h.scores["label"].to_numpy() for h in (history(), done.history))
    site = np.array([f"site={one}" for one in history().scores["site"].to_pylist()])
    segment = np.isin(site, done.touched)
    part = inside(history(), done)[history().first_scored :]
    assert not (was != now)[~(segment & part)].any()
    share = (was != now)[segment & part].mean()
    assert 0.45 < share < 0.55
    assert 0.1 < segment[part].mean() < 0.2
    same = history().scores.drop_columns(["label"])
    assert same.equals(done.history.scores.drop_columns(["label"]))


def test_labels_that_take_time_are_flipped_where_they_are_judged():
    late = replace(history(), maturity="48h")
    window = late.windows()[AT]
    soon, waits = (rows_of(late, window, labels=labels) for labels in (False, True))
    assert waits.first == soon.first - 2 * A_DAY
    assert waits.count == soon.count == 7 * A_DAY


def test_a_lasting_fault_keeps_to_its_column_and_segment():
    done = planted("sensor frozen in a 30% segment")
    (name,) = done.touched
    now = done.history.frame.filter(pa.array(inside(done.history, done)))
    stuck = np.array(now[name].to_pylist()) == _most(now[name].to_pylist())
    assert len(np.unique(now["site"].to_numpy(zero_copy_only=False)[stuck])) <= 2
    assert 0.2 < stuck.mean() < 0.45


def _most(values):
    found, counts = np.unique(np.array(values), return_counts=True)
    return found[counts.argmax()]


def test_rows_that_come_twice_or_never_keep_their_labels():
    twice = planted("rows doubled").history
    assert twice.frame.num_rows == history().frame.num_rows + 7 * A_DAY
    half = planted("half of the rows lost").history
    assert half.frame.num_rows == history().frame.num_rows - 7 * A_DAY // 2


def in_order(score, label):
    """The share of pairs of a one and a zero in which the one has the higher score."""
    return float((score[label == 1][:, None] > score[label == 0]).mean())


def test_a_reversed_relation_keeps_the_rate_and_turns_the_order():
    done = planted("relation reversed")
    part = inside(history(), done)[history().first_scored :]
    score = history().scores["score"].to_numpy()[part]
    was, now = (h.scores["label"].to_numpy()[part] for h in (history(), done.history))
    assert in_order(score, was) > 0.75
    assert in_order(score, now) < 0.35
    assert abs(was.mean() - now.mean()) < 0.1


def test_a_history_is_read_as_it_was_kept(tmp_path):
    back = load_history(save_history(history(), tmp_path))
    assert back.frame.equals(history().frame)
    assert back.scores.equals(history().scores)
    assert back.scorer == history().scorer
    assert back.windows() == history().windows()

"""Altering the future moves nothing; planted leaks are found."""

from dataclasses import replace

import numpy as np
import pytest

from headrace.features import build_spine, spines
from headrace.features.kernel import visibility
from headrace.verification.leaks import alter_future, busy_moments, leaks
from tests.features.logs import FAR, SHAPES, SPINE, VIEWS, random_log

LOGS = [replace(random_log(seed), mode="declared") for seed in range(6)]


def moved(log):
    views = [view for view in VIEWS if "target" not in view.spine_entity]
    spine = build_spine(SPINE, log.history, SHAPES, log.mode)
    cuts = sorted(set(spine["t"].to_pylist()))
    report = leaks(SPINE, views, log.history, SHAPES, cuts, mode=log.mode)
    assert report.rows == spine.num_rows > 0
    return report


@pytest.mark.parametrize("mode", ["declared", "recorded"])
def test_nothing_moves(mode):
    for log in LOGS:
        report = moved(replace(log, mode=mode))
        assert report.moved == 0, report.found


@pytest.mark.parametrize(
    ("module", "name", "planted"),
    [
        (visibility, "usable", lambda known, commit: np.full_like(known, -FAR)),
        (spines, "is_visible", lambda versions, t: versions.x == visibility.NEVER),
    ],
)
def test_planted_leaks_are_found(module, name, planted, monkeypatch):
    cuts = [sorted(set(build_spine(SPINE, g.history, SHAPES)["t"].to_pylist())) for g in LOGS]
    reports = []
    views = [view for view in VIEWS if "target" not in view.spine_entity]
    monkeypatch.setattr(module, name, planted)
    for log, moments in zip(LOGS, cuts, strict=True):
        reports.append(leaks(SPINE, views, log.history, SHAPES, moments))
    assert any(reports)
    assert all(report.moved == 0 or report.found for report in reports)


def test_the_past_stays_and_the_future_changes():
    log = LOGS[0]
    altered = alter_future(log.table, SHAPES["facts"], 25, "declared", np.random.default_rng(0))

    def past(table):
        rows = [row for row in table.to_pylist() if row["known_at"].microsecond <= 25]
        return sorted(map(repr, rows))

    assert past(altered) == past(log.table)
    assert sorted(map(repr, altered.to_pylist())) != sorted(map(repr, log.table.to_pylist()))


def test_busy_moments_share_many_rows():
    spine = build_spine(SPINE, LOGS[0].history, SHAPES)
    for moment in busy_moments(spine, 3, 2):
        assert spine["t"].to_pylist().count(moment) >= 2

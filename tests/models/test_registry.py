import json
from dataclasses import replace

import headrace
from headrace.datasets.store.store import Store
from headrace.models import challenge, champion, history, promote, registry, train
from headrace.models.svg_plots import reliability_svg, segments_svg
from tests.datasets.frames import DEFINITIONS, frame
from tests.models.conftest import MODEL, released

BLIND = replace(MODEL, features=("calendar__*",), seed=9)
TWIN = replace(MODEL, seed=10)


def test_the_first_model_becomes_champion(record, dataset, home):
    assert champion(home, "late") is None
    result = challenge(home, record, dataset)
    assert result.promoted
    assert champion(home, "late") == record
    assert headrace.open("delays@champion", home.store).ref == record.dataset
    assert not challenge(home, record, dataset).promoted
    assert len(history(home, "late")) == 1


def test_a_worse_model_is_not_promoted(record, dataset, home):
    promote(home, record, "first")
    result = challenge(home, train(dataset, BLIND, home), dataset, rounds=200)
    assert not result.promoted
    assert result.interval["low"] > 0
    assert champion(home, "late") == record


def test_a_model_that_is_not_worse_takes_over(record, dataset, home):
    blind = train(dataset, BLIND, home)
    promote(home, blind, "first")
    result = challenge(home, record, dataset, rounds=200)
    assert result.promoted
    assert [entry.bundle_id for entry in history(home, "late")] == [
        blind.bundle_id,
        record.bundle_id,
    ]
    assert registry.pointer(home, "late").previous == blind.bundle_id


def test_another_meaning_is_not_compared(record, home):
    promote(home, record, "first")
    dataset = released(home, definitions={**DEFINITIONS, "weather": "0" * 64})
    result = challenge(home, train(dataset, TWIN, home), dataset)
    assert not result.promoted
    assert "not comparable" in result.reason
    assert champion(home, "late") == record


def test_a_crash_between_swap_and_alias_is_made_good(record, dataset, home, monkeypatch):
    twin = train(dataset, TWIN, home)
    with monkeypatch.context() as patched:
        patched.setattr(registry, "_follow", lambda *_: None)
        promote(home, twin, "first")
    assert "champion" not in Store.find(home.store).aliases("delays")
    promote(home, twin, "again")
    assert headrace.open("delays@champion", home.store).ref == twin.dataset
    assert [one.reason for one in history(home, "late")] == ["first"]


def test_a_crash_between_swap_and_history_loses_nothing(record, dataset, home, monkeypatch):
    promote(home, record, "first")
    twin = train(dataset, TWIN, home)
    with monkeypatch.context() as patched:
        patched.setattr(registry, "_append_missing", lambda *_: None)
        promote(home, twin, "second")
    assert champion(home, "late") == twin
    path = home.models / "late" / "history.ndjson"
    assert len(path.read_text().splitlines()) == 1
    assert [entry.reason for entry in history(home, "late")] == ["first", "second"]
    promote(home, record, "back")
    reasons = [json.loads(line)["reason"] for line in path.read_text().splitlines()]
    assert reasons == ["first", "second", "back"]


def test_the_champion_outlives_newer_releases(record, home):
    promote(home, record, "first")
    released(home, frame(seed=1))
    assert Store(home.store).aliases("delays") == {"champion": "1.0.0", "latest": "1.1.0"}


def test_pictures(record):
    picture = reliability_svg(record.metrics["calibration"])
    assert picture.startswith("<svg")
    assert picture.count("<circle") == sum(
        1 for one in record.metrics["calibration"] if one["rows"]
    )
    lines = [{**line, "value": "<&>"} for line in record.metrics["segments"]["origin"]]
    bars = segments_svg(lines, "by origin")
    assert "<&>" not in bars
    assert "&lt;&amp;&gt;" in bars
    assert segments_svg([], "none").startswith("<svg")

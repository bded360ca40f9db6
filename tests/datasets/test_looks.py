"""The evaluation split: opened with a purpose, counted, and out of training's reach."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import headrace
from headrace.cli.app import app
from headrace.core.errors import DeclarationError, StateError
from headrace.core.files import write_json
from headrace.datasets import Evaluation, release
from headrace.datasets.card import card
from headrace.datasets.erasure.erase import carry_out
from headrace.datasets.erasure.requests import record as record_erasure
from headrace.datasets.erasure.requests import request_of
from headrace.datasets.evaluation_access import count, count_all, looks, record, summary
from headrace.datasets.governance.privacy_key import TEXT, PrivacyKey
from headrace.datasets.store.store import Store
from headrace.datasets.vocabulary import EVALUATION, SPLITS
from tests.datasets.frames import DEFINITIONS, INPUTS, SPEC, frame
from tests.datasets.stores import bucket_root
from tests.killing import forked

APART = Evaluation(0.3, "2013-04-01", looks=3)


def released(store, rows=None, **changes):
    return release(
        replace(SPEC, **{"evaluation": APART, **changes}),
        frame() if rows is None else rows,
        inputs=INPUTS,
        definitions=DEFINITIONS,
        mode="declared",
        code_revision="r1",
        store=store,
    )


@pytest.fixture
def opened(tmp_path):
    manifest = released(tmp_path)
    return Store.find(tmp_path), manifest, headrace.open("delays", tmp_path)


def test_it_is_no_part_of_what_is_opened(opened):
    store, manifest, data = opened
    assert tuple(manifest.splits) == (*SPLITS, EVALUATION)
    assert data.splits == SPLITS
    assert manifest.splits[EVALUATION].rows > 100
    assert len(data) == manifest.rows - manifest.splits[EVALUATION].rows
    assert EVALUATION not in set(data.arrow["split"].to_pylist())
    with pytest.raises(DeclarationError, match="needs a purpose"):
        data.split(EVALUATION)
    with pytest.raises(DeclarationError, match="there is no split 'evaluation'"):
        data.select(splits=[EVALUATION])
    assert data.verify().ok, "whole, with the rows that are kept apart"
    assert count(store, manifest) == 0, "to verify is no look"


def test_each_look_is_counted_and_says_what_for(opened):
    store, manifest, data = opened
    keys = set(data.arrow["flight"].to_pylist())
    rows = data.split(EVALUATION, purpose="final test of model 7").arrow
    assert rows.num_rows == manifest.splits[EVALUATION].rows
    assert not keys & set(rows["flight"].to_pylist())
    headrace.open("delays", store.root, split=EVALUATION, purpose="again")
    record(store, manifest, "by hand", "ann")
    assert [one.purpose for one in looks(store, manifest)] == [
        "final test of model 7",
        "again",
        "by hand",
    ]
    last = looks(store, manifest)[-1]
    assert (last.principal, last.ref) == ("ann", "delays@1.0.0")
    assert str(last).startswith("ann at 20")
    with pytest.warns(UserWarning, match="was accessed 4 times, but only 3 accesses are allowed"):
        record(store, manifest, "one more")
    later = released(store.root, description="other words")
    assert later.version == "1.0.1"
    assert (count(store, later), count_all(store, "delays")) == (0, 4)
    assert summary(store, later) == {"looks": 0, "of_all_versions": 4, "allowed": 3}


def test_without_a_purpose_a_split_or_a_record_there_is_no_look(opened, tmp_path):
    store, manifest, data = opened
    for purpose in (None, "", "  "):
        with pytest.raises(DeclarationError, match="needs a purpose"):
            record(store, manifest, purpose)
    plain = released(tmp_path / "plain", evaluation=None)
    assert summary(store, plain) is None
    with pytest.raises(DeclarationError, match="has no evaluation split"):
        record(Store.find(tmp_path / "plain"), plain, "why")
    folder = Path(store.root) / "datasets/delays/1.0.0/looks"
    folder.write_text("in the way")
    with pytest.raises(StateError, match="cannot be recorded"):
        data.split(EVALUATION, purpose="why")


def test_a_look_of_a_newer_format_is_refused_and_leftovers_are_none(opened):
    store, manifest, _ = opened
    record(store, manifest, "why")
    folder = Path(store.root) / "datasets/delays/1.0.0/looks"
    (folder / ".2.json.77.tmp").write_text("{")  # of a writer that died
    (folder / "notes.txt").write_text("of a person")
    assert count(store, manifest) == 1
    write_json(folder / "2.json", {"format": 2})
    with pytest.raises(StateError, match="reads up to 1"):
        looks(store, manifest)


def _look(root, number):
    store = Store.find(root)
    record(store, store.manifest("delays", "1.0.0"), f"look {number}")


def test_looks_at_the_same_moment_are_all_counted(tmp_path):
    manifest = released(tmp_path, evaluation=replace(APART, looks=99))
    with ProcessPoolExecutor(3, mp_context=forked()) as pool:
        list(pool.map(_look, [tmp_path] * 9, range(9)))
    found = [one.purpose for one in looks(Store.find(tmp_path), manifest)]
    assert sorted(found) == [f"look {n}" for n in range(9)]


def test_looks_are_counted_in_a_bucket_and_told_by_the_card(monkeypatch):
    root = bucket_root(monkeypatch)
    manifest = released(root)
    for n in range(2):
        headrace.open("delays", root, split=EVALUATION, purpose=f"look {n}")
    store = Store.find(root)
    assert [one.purpose for one in looks(store, manifest)] == ["look 0", "look 1"]
    page = card(store, manifest).html()
    assert "the evaluation split was accessed 2 times" in page
    assert "0 rows of evaluation with the same features as a training row" in page
    assert "of recent rows have values that the training split does not cover" in page


def test_show_tells_who_looked(opened, monkeypatch):
    store, manifest, _ = opened
    monkeypatch.setenv("HEADRACE_STORE", str(store.root))
    record(store, manifest, "final test of model 7", "ann")
    shown = CliRunner().invoke(app, ["dataset", "show", "delays"])
    assert shown.exit_code == 0, shown.output
    assert "1 of 3 declared accesses" in shown.output
    assert "ann at 20" in shown.output
    assert "final test of model 7" in shown.output


def test_looks_at_what_was_erased_since_still_count(tmp_path, monkeypatch):
    monkeypatch.setenv(TEXT, "0123456789abcdef0123456789abcdef")
    store, old = Store.find(tmp_path), released(tmp_path)
    headrace.open("delays", tmp_path, split=EVALUATION, purpose="to choose")
    flight = headrace.open("delays", tmp_path).arrow["flight"][0].as_py()
    key = PrivacyKey.find("a test")
    asked = request_of({"flight": flight}, key, principal="dpo", reason="case 17")
    (done,) = carry_out(store, record_erasure(store, asked))
    new = store.manifest(*store.resolve(done.new))
    assert (store.versions("delays"), count(store, new)) == (["1.0.1"], 0)
    assert old.version in store.removed_versions("delays")
    assert count_all(store, "delays") == 1

"""A release that holds a recalled batch refuses to open, until the recall is taken back."""

import json
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace
from headrace.core.errors import DeclarationError, StateError, TaintedError
from headrace.core.permissions import local_user
from headrace.datasets import list_releases, release
from headrace.datasets.store.store import Store
from headrace.datasets.taint import Recall, active_recalls, note, openings, openings_of, taints_of
from headrace.lake.overrides.pinned_actions import override_sentence
from tests.datasets.frames import DEFINITIONS, INPUTS, SPEC, frame
from tests.examples import examples

ROWS = frame(400)
RECALLED = Recall("recalled", "outcomes", "b2", "2013-02-12", 1_700_000_000_000_000, "ana", "bad")
RESTORED = replace(RECALLED, event="restored", at=RECALLED.at + 1, reason="it was right")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def made(store, *, batches=("b1", "b2", "b3"), rows=ROWS, **more):
    inputs = {**INPUTS, "outcomes": replace(INPUTS["outcomes"], batches=batches)}
    return release(
        SPEC,
        rows,
        inputs=inputs,
        definitions=DEFINITIONS,
        mode="declared",
        code_revision="r1",
        store=store.root,
        **more,
    )


def test_it_refuses_and_says_which_batch_who_why_when_and_how_nevertheless(store):
    made(store)
    note(store, RECALLED)
    with pytest.raises(TaintedError) as caught:
        headrace.open("delays@1.0.0", store.root)
    told = str(caught.value)
    for part in ("delays@1.0.0", "batch b2 of outcomes", "2013-02-12", "ana", "bad", "2023-11-14T"):
        assert part in told
    assert 'headrace.open("delays@1.0.0", allow_tainted="why")' in caught.value.fix
    for ref in ("delays", "delays@latest"):
        with pytest.raises(TaintedError):
            headrace.open(ref, store.root)
    (line,) = list_releases(store.root)
    assert line.tainted == (str(RECALLED),)


def test_with_a_reason_it_opens_and_that_is_recorded(store, monkeypatch):
    monkeypatch.setenv("HEADRACE_PRINCIPAL", "bo")
    made(store)
    note(store, RECALLED)
    for why in ("to compare", "again"):
        opened = headrace.open("delays@1.0.0", store.root, split="train", allow_tainted=why)
        assert opened.taints == (RECALLED,)
        assert "TAINTED" in repr(opened)
        assert opened.arrow.num_rows
    found = openings_of(store, store.manifest("delays", "1.0.0"))
    assert [(one["principal"], one["reason"]) for one in found] == [
        ("bo", "to compare"),
        ("bo", "again"),
    ]
    assert found[0]["batches"] == [{"table": "outcomes", "batch_id": "b2"}]
    with pytest.raises(DeclarationError, match="no reason"):
        headrace.open("delays@1.0.0", store.root, allow_tainted=" ")


def test_what_cannot_be_recorded_does_not_open(store, monkeypatch):
    made(store)
    note(store, RECALLED)
    (store.root / "datasets/delays/1.0.0/opened").write_text("no folder")
    with pytest.raises(StateError, match="cannot be recorded"):
        headrace.open("delays@1.0.0", store.root, allow_tainted="to look")


def test_a_reason_for_a_clean_release_is_not_needed_and_not_kept(store):
    made(store)
    note(store, replace(RECALLED, batch_id="other"))
    note(store, replace(RECALLED, table="weather"))
    assert headrace.open("delays", store.root, allow_tainted="who knows").taints == ()
    assert openings_of(store, store.manifest("delays", "1.0.0")) == []


def test_a_restored_batch_taints_no_more(store):
    made(store)
    note(store, RECALLED)
    note(store, RESTORED)
    assert headrace.open("delays", store.root).taints == ()
    later = replace(RECALLED, at=RESTORED.at + 1, reason="it was bad after all")
    note(store, later)
    with pytest.raises(TaintedError, match="after all"):
        headrace.open("delays", store.root)
    assert active_recalls(store) == {("outcomes", "b2"): later}
    documents = sorted((store.root / "recalls/outcomes" / "b2").iterdir())
    assert [json.loads(one.read_text())["event"] for one in documents] == [
        "recalled",
        "restored",
        "recalled",
    ]


def test_the_mark_travels_with_the_store(store, tmp_path):
    made(store)
    note(store, RECALLED)
    shutil.copytree(store.root, tmp_path / "copy")
    with pytest.raises(TaintedError):
        headrace.open("delays", tmp_path / "copy")


def test_a_batch_that_is_recalled_cannot_enter_a_new_release(store):
    note(store, RECALLED)
    with pytest.raises(TaintedError, match=r"a release of delays is tainted: .* batch b2"):
        made(store)
    assert list_releases(store.root) == []
    manifest = made(store, allow_tainted="to see what it did")
    (override,) = manifest.inputs["outcomes"].overrides
    assert json.loads(override)["batches"] == ["b2"]
    assert override_sentence(override).endswith(f"by {local_user()}: to see what it did")
    with pytest.raises(TaintedError):
        headrace.open("delays", store.root)
    assert made(store, allow_tainted="to see what it did") == manifest


def test_a_release_made_at_the_moment_of_the_recall_is_tainted(store, monkeypatch):
    """The recall comes after the look at the inputs, and before the release can be seen."""
    publish = Store.publish

    def late(self, manifest):
        note(self, RECALLED)
        publish(self, manifest)

    monkeypatch.setattr(Store, "publish", late)
    made(store)
    with pytest.raises(TaintedError):
        headrace.open("delays", store.root)


def test_the_same_content_without_the_batch_is_a_clean_release(store):
    first = made(store)
    note(store, RECALLED)
    second = made(store, batches=("b1", "b3"))
    assert (second.version, second.change) == ("1.0.1", "PATCH")
    assert second.content_hash == first.content_hash
    assert "without batch b2" in second.reasons[0]
    assert headrace.open("delays", store.root).taints == ()
    assert made(store, batches=("b1", "b3")) == second
    with pytest.raises(TaintedError) as caught:
        headrace.open("delays@1.0.0", store.root)
    assert "delays@1.0.1 is clean" in caught.value.fix


def test_a_release_that_the_store_has_no_more_is_known_by_name(store):
    note(store, replace(RECALLED, releases=("gone@2.0.0",)))
    assert taints_of(store, "gone@2.0.0")
    assert taints_of(store, "gone@2.0.1") == ()


def test_a_newer_format_is_not_taken_for_clean(store):
    made(store)
    note(store, RECALLED)
    (path,) = (store.root / "recalls/outcomes" / "b2").iterdir()
    path.chmod(path.stat().st_mode | stat.S_IWUSR)
    path.write_text(json.dumps({**RECALLED.to_json(), "format": 99}))
    with pytest.raises(StateError, match="format 99"):
        headrace.open("delays", store.root)


def test_a_torn_line_hides_no_other(tmp_path):
    made(Store(tmp_path))
    path = tmp_path / "datasets/delays/1.0.0/opened.ndjson"
    path.write_text('\n{"reason": "one"}\n\n{"reas')
    with path.open("a") as file:
        file.write('\n{"reason": "two"}\n')
    assert [one["reason"] for one in openings(path)] == ["one", "two"]
    store = Store(tmp_path)
    note(store, RECALLED)
    headrace.open("delays", tmp_path, allow_tainted="three")
    found = openings_of(store, store.manifest("delays", "1.0.0"))
    assert [one["reason"] for one in found] == ["one", "two", "three"]


@pytest.mark.parametrize("name", ["..", "a/b", ""])
def test_a_name_that_leads_elsewhere_is_refused(store, name):
    with pytest.raises(StateError, match="is not a table or batch name"):
        note(store, replace(RECALLED, batch_id=name))


def test_many_at_once_are_one_event(store):
    with ThreadPoolExecutor(8) as many:
        done = list(many.map(lambda n: note(store, replace(RECALLED, at=n)), range(1, 9)))
    assert len(set(done)) == 1
    assert len(list((store.root / "recalls/outcomes" / "b2").glob("*.json"))) == 1


@settings(max_examples=examples(50), deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=12))
def test_the_last_word_stands(tmp_path_factory, events):
    store, expected = Store(tmp_path_factory.mktemp("store")), {}
    for at, (batch, recalled) in enumerate(events):
        event = replace(
            RECALLED, batch_id=batch, at=at, event="recalled" if recalled else "restored"
        )
        note(store, event)
        if not recalled:
            expected.pop(batch, None)
        else:
            expected.setdefault(batch, event)
    assert active_recalls(store) == {("outcomes", batch): one for batch, one in expected.items()}

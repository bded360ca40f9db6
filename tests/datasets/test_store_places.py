"""Releases in a folder and in a bucket, by the same body; copying, pulling, verifying, clearing."""

import json
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from typer.testing import CliRunner

import headrace
from headrace.cli.app import app
from headrace.core.errors import DeclarationError, StateError, TaintedError
from headrace.datasets import list_releases
from headrace.datasets.card.statement import Statement
from headrace.datasets.manifest import _LATER
from headrace.datasets.store.garbage_collection import clear
from headrace.datasets.store.pull import pull
from headrace.datasets.store.store import Store, TakenError
from headrace.datasets.store.verify import verify, verify_ref
from headrace.datasets.taint import Recall, note, openings_of, taints
from tests.datasets.frames import SPEC
from tests.datasets.stores import PLACES, store_at
from tests.datasets.test_release import HALF, ROWS, made

RECALLED = Recall("recalled", "outcomes", "b2", "2013-02-01", 5, "ana", "bad clock", ("x@1",))


@pytest.fixture(params=PLACES)
def store(request, tmp_path, monkeypatch):
    return store_at(request.param, tmp_path, monkeypatch)


def aged(store, days=2):
    """Make everything in a folder look old."""
    for entry in [*store.storage.walk(""), *store.storage.leftovers()]:
        at = entry.modified / 1e6 - days * 86_400
        os.utime(store.root / entry.path, (at, at))


def test_releasing_listing_verifying_and_aliases(store):
    first = made(store.root)
    assert made(store.root) == first
    second = made(store.root, HALF)
    assert [one.ref for one in list_releases(store.root)] == ["delays@1.0.0", "delays@1.1.0"]
    assert store.latest("delays") == second
    store.set_alias("delays", "champion", "1.0.0")
    store.set_alias("delays", "candidate", "1.1.0")
    assert store.aliases("delays") == {
        "champion": "1.0.0",
        "candidate": "1.1.0",
        "latest": "1.1.0",
    }
    assert store.resolve("delays@champion") == ("delays", "1.0.0")
    for version in ("1.0.0", "1.1.0"):
        found = verify_ref(store, "delays", version)
        assert found.ok, found.problems
        assert found.rows == store.manifest("delays", version).rows
    with pytest.raises(TakenError, match="never overwritten"):
        store.publish(replace(second, rows=0))


def test_a_recall_taints_and_opening_is_recorded(store, monkeypatch):
    monkeypatch.setenv("HEADRACE_PRINCIPAL", "bo")
    manifest = made(store.root)
    note(store, RECALLED)
    note(store, RECALLED)
    with pytest.raises(TaintedError):
        headrace.open("delays", store.root)
    headrace.open("delays", store.root, allow_tainted="why not")
    assert [one["reason"] for one in openings_of(store, manifest)] == ["why not"]
    note(store, replace(RECALLED, event="restored"))
    assert taints(store, manifest) == ()


def test_the_environment_points_at_it(store, monkeypatch, tmp_path):
    monkeypatch.setenv("HEADRACE_STORE", str(store.root))
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "home"))
    made(None)
    assert Store.find().root == store.root
    from headrace.core.home import Home

    assert Store.find(Home.find().store) == store
    assert headrace.open("delays").verify().ok


def test_two_releases_at_once_get_two_versions(store):
    frames = [ROWS, HALF, ROWS.slice(300), ROWS.slice(600)]
    with ThreadPoolExecutor(4) as many:
        done = list(many.map(lambda rows: made(store.root, rows), frames))
    assert sorted(one.ref for one in done) == [f"delays@1.{n}.0" for n in range(4)]
    assert [one.ref for one in list_releases(store.root)] == sorted(one.ref for one in done)
    for one in done:
        assert verify(store, one).ok
    by_id = {one.id: one for one in done}
    previous = [by_id[one.previous].version for one in done if one.previous]
    assert sorted(previous) == ["1.0.0", "1.1.0", "1.2.0"]


def test_the_same_release_twice_at_once_is_one(store):
    with ThreadPoolExecutor(4) as many:
        done = list(many.map(lambda _: made(store.root), range(4)))
    assert len({one.id for one in done}) == 1
    assert [one.ref for one in list_releases(store.root)] == ["delays@1.0.0"]


@pytest.mark.parametrize("to", PLACES)
def test_a_release_is_pulled_whole_verified_and_only_once(store, to, tmp_path, monkeypatch):
    manifest = made(store.root)
    made(store.root, HALF)
    store.set_alias("delays", "champion", "1.0.0")
    target = store_at(to, tmp_path / "copy", monkeypatch)
    done = pull("delays@champion", target.root, store.root)
    assert (done.ref, done.copied) == ("delays@1.0.0", done.objects)
    assert [one.ref for one in list_releases(target.root)] == ["delays@1.0.0"]
    assert target.manifest("delays", "1.0.0") == manifest
    assert target.created("delays", "1.0.0") == store.created("delays", "1.0.0")
    assert verify(target, manifest).ok
    again = pull("delays@1.0.0", target.root, store.root)
    assert (again.objects, again.copied, again.bytes) == (done.objects, 0, 0)


@pytest.fixture
def folder(tmp_path):
    return Store(tmp_path / "store")


def test_a_pull_goes_on_where_it_was_cut_short(folder, tmp_path, monkeypatch):
    made(folder.root)
    target = Store(tmp_path / "copy")
    left = 2
    real = type(target.storage).put_file

    def broken(self, path, temporary):
        nonlocal left
        left -= 1
        if left < 0:
            raise StateError("the network went away")
        real(self, path, temporary)

    with monkeypatch.context() as patch:
        patch.setattr(type(target.storage), "put_file", broken)
        with pytest.raises(StateError, match="network"):
            pull("delays", target.root, folder.root)
    assert list_releases(target.root) == []
    assert target.storage.leftovers() == []
    (one, *_) = target.storage.walk("objects")
    place = target.root / one.path
    place.write_bytes(bytes(one.size))  # of the same size, and not what its name says
    done = pull("delays", target.root, folder.root)
    assert done.copied == done.objects - 1
    assert verify_ref(target, "delays", "1.0.0").ok


def test_a_pull_refuses_what_is_damaged_missing_or_another(folder, tmp_path):
    manifest = made(folder.root)
    target = tmp_path / "copy"
    path = folder.object_path(manifest.splits["train"].parts[0].object, "parquet")
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"X")
    with pytest.raises(StateError, match="holds other bytes"):
        pull("delays", target, folder.root)
    path.unlink()
    with pytest.raises(StateError, match="is missing"):
        pull("delays", target, folder.root)
    assert list_releases(target) == []
    path.write_bytes(data)
    made(target, HALF)
    with pytest.raises(StateError, match=r"another delays@1\.0\.0"):
        pull("delays", target, folder.root)
    with pytest.raises(DeclarationError, match="into itself"):
        pull("delays", folder.root, folder.root)


def test_what_taints_a_release_goes_with_it(folder, tmp_path):
    made(folder.root)
    note(folder, RECALLED)
    pull("delays", tmp_path / "copy", folder.root)
    with pytest.raises(TaintedError):
        headrace.open("delays", tmp_path / "copy")


def test_a_folder_copied_by_any_tool_is_a_store(store, tmp_path, monkeypatch):
    """Also into a bucket: files keep their names."""
    made(store.root)
    files = {one.path: store.storage.read_bytes(one.path) for one in store.storage.walk("")}
    for place in PLACES:
        other = store_at(place, tmp_path / "moved", monkeypatch)
        for path, data in files.items():
            other.storage.create(path, data)
        assert verify_ref(other, "delays", "1.0.0").ok


def test_a_store_of_format_1_opens_is_pulled_and_cleared(folder, tmp_path):
    """As it was written before: the time of making apart, and all aliases in one document."""
    manifest = made(folder.root)
    form = {key: value for key, value in manifest.to_json().items() if key not in _LATER}
    for split in form["splits"].values():
        (part,) = split.pop("parts")
        split |= {"object": part["object"], "bytes": part["bytes"]}
    old = type(manifest).from_json({**form, "format": 1})
    place = folder.root / "datasets/delays/1.0.0"
    (place / "manifest.json").write_text(json.dumps(old.to_json(), indent=2))
    created = {"created_at": "2026-01-01T00:00:00Z", "manifest_id": old.id}
    (place / "created.json").write_text(json.dumps(created))
    (place.parent / "aliases.json").write_text('{"champion": "1.0.0"}')
    assert headrace.open("delays@champion", folder.root).manifest == old
    assert folder.created("delays", "1.0.0") == created
    assert verify(folder, old).ok
    pull("delays@champion", tmp_path / "copy", folder.root)
    assert verify_ref(Store(tmp_path / "copy"), "delays", "1.0.0").ok
    aged(folder)
    assert all(one.endswith(".json") for one in clear(folder, delete=True).objects)
    assert verify(folder, old).ok
    folder.set_alias("delays", "candidate", "1.0.0")
    assert set(folder.aliases("delays")) == {"champion", "candidate", "latest"}


def test_the_commands(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_STORE", str(folder.root))

    def run(*words, code=0):
        done = CliRunner().invoke(app, ["dataset", *words])
        assert done.exit_code == code, done.output
        return done.stdout

    made(folder.root)
    done = json.loads(run("verify", "delays", "--json"))
    assert (done["ref"], done["ok"], done["problems"]) == ("delays@1.0.0", True, [])
    assert "is what was released" in run("verify", "--all")
    assert json.loads(run("pull", "delays", "--out", str(tmp_path / "to"), "--json"))["copied"] > 0
    assert "0 of" in run("pull", "delays", "--out", str(tmp_path / "to"))
    folder.put_json({"nobody": "names me"})
    aged(folder)
    assert "--apply" in run("gc")
    assert len(json.loads(run("gc", "--apply", "--json"))["objects"]) == 1
    run("verify", code=2)
    run("verify", "delays", "--all", code=2)
    run("gc", "--grace", "1m", code=2)
    path = min((folder.root / "objects").glob("*.parquet"))
    path.write_bytes(bytes(path.stat().st_size))
    found = json.loads(run("verify", "--all", "--json", code=1))
    assert not found["ok"]
    assert "holds other bytes" in found["releases"][0]["problems"][0]
    assert "DAMAGED" in run("verify", "delays", code=1)


def test_progress_is_told(folder, tmp_path):
    from headrace.core.progress import listening

    heard = []
    with listening(lambda tick: heard.append((tick.stage, tick.finished == tick.total))):
        made(folder.root)
        verify_ref(folder, "delays", "1.0.0")
        pull("delays", tmp_path / "copy", folder.root)
    assert {stage for stage, _ in heard} == {"parts", "verify", "pull"}
    for stage in ("parts", "verify", "pull"):
        assert [ended for name, ended in heard if name == stage][-1]


def test_threads_do_not_share_temporaries(folder):
    names = set()
    barrier = threading.Barrier(4)

    def name():
        barrier.wait()
        names.add(folder.storage.temporary("x"))

    threads = [threading.Thread(target=name) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(names) == 4


def test_a_dry_run_writes_nothing(folder):
    stated = replace(SPEC, card=(Statement("citation", "as delays", "ann"),))
    looked = made(folder.root, spec=stated, dry_run=True)
    assert (looked.ref, looked.change) == ("delays@1.0.0", "FIRST")
    assert not folder.root.exists()
    made(folder.root)
    looked = made(folder.root, HALF, dry_run=True)
    assert looked.ref == "delays@1.1.0"
    assert looked.reasons == made(folder.root, HALF).reasons
    shutil.rmtree(folder.root)

"""Clearing a store takes only what nobody needs; parts that are there are not written again."""

import json
import shutil
from dataclasses import replace

import pytest

from headrace.core.clock import HOUR
from headrace.core.errors import DeclarationError, StateError
from headrace.datasets import list_releases
from headrace.datasets.erasure import tombstone
from headrace.datasets.erasure.tombstone import Tombstone, bury, objects_of
from headrace.datasets.store.garbage_collection import clear
from headrace.datasets.store.pull import pull
from headrace.datasets.store.split_files import store_splits
from headrace.datasets.store.store import Store
from headrace.datasets.store.verify import verify, verify_ref
from headrace.datasets.taint import note, taints
from tests.datasets.frames import INPUTS, SPEC
from tests.datasets.stores import store_at
from tests.datasets.test_release import HALF, made
from tests.datasets.test_store_places import RECALLED, aged


@pytest.fixture
def folder(tmp_path):
    return Store(tmp_path / "store")


def test_only_what_nothing_names_and_what_is_old_is_cleared(folder):
    made(folder.root)
    made(folder.root, HALF)
    note(folder, RECALLED)
    before = {one.path for one in folder.storage.walk("")}
    lost = folder.put_json({"nobody": "names me"})
    (folder.root / "objects/.half.1-1.tmp").write_bytes(b"half a part")
    (folder.root / "datasets/delays/.manifest.json.1-1.tmp").write_bytes(b"{")
    young = clear(folder, delete=True)
    assert (young.objects, young.temporaries, young.young) == ((), (), 1)
    aged(folder)
    looked = clear(folder)
    assert looked.objects == (f"objects/{lost}.json",)
    assert len(looked.temporaries) == 2
    assert not looked.deleted
    assert folder.get_json(lost)
    gone = clear(folder, delete=True)
    assert replace(gone, deleted=False) == looked
    assert {one.path for one in folder.storage.walk("")} == before
    assert folder.storage.leftovers() == []
    assert clear(folder, delete=True).objects == ()
    assert all(verify_ref(folder, "delays", v).ok for v in ("1.0.0", "1.1.0"))


def test_what_a_record_or_an_object_names_is_kept(folder):
    """Whatever comes to lie in a store: a record of an erasure, lineage that names more objects."""
    made(folder.root)
    inner = folder.put_json({"inner": 1})
    outer = folder.put_json({"names": [inner]})
    folder.storage.create("erasures/1.json", json.dumps({"proof": outer}).encode())
    aged(folder)
    assert clear(folder, delete=True).objects == ()
    folder.storage.delete("erasures/1.json")
    gone = {f"objects/{one}.json" for one in (inner, outer)}
    assert set(clear(folder, delete=True).objects) == gone


def stone_of(store, manifest):
    was = (manifest.id, manifest.content_hash, manifest.rows)
    names = tuple(sorted(objects_of(store, manifest)))
    return Tombstone("erased", "delays", "1.0.0", *was, 5, "ana", "asked to", objects=names)


def test_what_a_tombstone_names_is_not_kept_for_it(folder):
    """A crash in the middle of an erasure leaves objects that nobody may read any more."""
    manifest = made(folder.root)
    stone = stone_of(folder, manifest)
    path = "datasets/delays/1.0.0/tombstone.json"
    folder.storage.create(path, json.dumps(stone.to_json()).encode())
    folder.storage.delete("datasets/delays/1.0.0/manifest.json")
    aged(folder)
    assert len(clear(folder, delete=True).objects) == len(stone.objects)
    assert [one.path for one in folder.storage.walk("")] == [path]


def test_an_object_that_rotted_is_mended_by_who_writes_it_again(folder):
    manifest = made(folder.root)
    path = folder.object_path(manifest.splits["train"].parts[0].object, "parquet")
    path.write_bytes(bytes(path.stat().st_size))
    folder.storage.delete("datasets/delays/1.0.0/manifest.json")
    assert made(folder.root).id == manifest.id
    assert verify(folder, manifest).ok


def test_what_was_erased_does_not_come_back_by_a_pull(folder, tmp_path):
    manifest = made(folder.root)
    copy = Store(shutil.copytree(folder.root, tmp_path / "copy"))
    stone = stone_of(folder, manifest)
    bury(folder, stone)
    for source, target in ((copy, folder), (folder, Store(tmp_path / "third"))):
        with pytest.raises(StateError, match="erased by ana"):
            pull("delays@1.0.0", target.root, source.root)
        assert target.storage.walk("objects") == []


def test_nothing_is_cleared_while_a_manifest_cannot_be_read(folder):
    made(folder.root)
    lost = folder.put_json({"nobody": "names me"})
    aged(folder)
    path = folder.root / "datasets/delays/1.0.0/manifest.json"
    path.write_text(path.read_text().replace('"rows": ', '"rows": 1'))
    with pytest.raises(StateError, match="altered"):
        clear(folder, delete=True)
    assert folder.get_json(lost)
    with pytest.raises(DeclarationError, match="less than an hour"):
        clear(folder, grace=HOUR - 1)


def test_clearing_in_the_middle_of_a_release_takes_nothing_from_it(folder, monkeypatch):
    """Objects of an earlier try, old and named by nobody, are found useful by a release."""
    published = Store.publish

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "publish", killed)
    with pytest.raises(KeyboardInterrupt):
        made(folder.root)
    aged(folder)

    def cleared_first(self, manifest):
        done = clear(folder, delete=True)
        assert done.objects == ()
        published(self, manifest)

    monkeypatch.setattr(Store, "publish", cleared_first)
    manifest = made(folder.root)
    assert verify(folder, manifest).ok


def test_an_object_that_goes_while_a_release_is_made_stops_it(folder, monkeypatch):
    real = type(folder).put_json

    def clearing(self, value):
        for entry in self.storage.walk("objects"):
            if entry.path.endswith(".parquet"):
                self.storage.delete(entry.path)
        return real(self, value)

    monkeypatch.setattr(Store, "put_json", clearing)
    with pytest.raises(StateError, match="disappeared while"):
        made(folder.root)
    assert list_releases(folder.root) == []


def test_nor_is_a_release_seen_that_lost_a_document(folder, monkeypatch):
    lineage = folder.put_json({"columns": {}})

    def retiring(*given):
        folder.storage.delete(f"objects/{lineage}.json")  # as that of the last that shared it does
        return store_splits(*given)

    monkeypatch.setattr("headrace.datasets.release_writer.store_splits", retiring)
    with pytest.raises(StateError, match="disappeared while"):
        made(folder.root, lineage=lineage)
    assert list_releases(folder.root) == []


def test_parts_of_the_release_before_are_not_written_again(folder, monkeypatch):
    first = made(folder.root)
    monkeypatch.setattr(
        "headrace.datasets.store.split_files._stored_part", lambda *_: pytest.fail("it is there")
    )
    inputs = {**INPUTS, "weather": replace(INPUTS["weather"], owner="someone")}
    second = made(folder.root, inputs=inputs)
    assert second.version == "1.0.1"
    assert second.splits == first.splits


def test_a_part_that_the_store_has_lost_is_written_again(folder):
    first = made(folder.root)
    for split in first.splits.values():
        folder.object_path(split.parts[0].object, "parquet").unlink()
    inputs = {**INPUTS, "weather": replace(INPUTS["weather"], owner="someone")}
    assert verify(folder, made(folder.root, inputs=inputs)).ok


@pytest.mark.parametrize("moment", ["listed", "published"])
def test_what_is_retired_takes_nothing_from_a_release_of_the_same_moment(
    folder, monkeypatch, moment
):
    """Both share all objects, and neither sees the other in time."""
    old = made(folder.root)
    aged(folder)
    stone, again = stone_of(folder, old), {"spec": replace(SPEC, description="again")}
    if moment == "listed":
        real = tombstone.releases

        def listed(store, name=None):
            found = list(real(store, name))
            if store.versions("delays") == []:
                made(folder.root, **again)
            return iter(found)

        monkeypatch.setattr(tombstone, "releases", listed)
        bury(folder, stone)
        (version,) = folder.versions("delays")
        new = folder.manifest("delays", version)
    else:
        real = Store.publish

        def published(self, manifest):
            bury(folder, stone)
            real(self, manifest)

        monkeypatch.setattr(Store, "publish", published)
        new = made(folder.root, **again)
    assert old.splits == new.splits
    assert verify(folder, new).ok


def test_the_same_release_again_mends_one_that_lost_objects(folder):
    old = made(folder.root)
    for entry in folder.storage.walk("objects"):
        folder.storage.delete(entry.path)
    assert not verify(folder, old).ok
    assert made(folder.root) == old
    assert verify(folder, old).ok


@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_a_pull_that_goes_on_keeps_what_is_being_cleared_up(folder, tmp_path, monkeypatch, place):
    """Objects of a pull that was cut short days ago are leftovers, until its manifest is there."""
    manifest = made(folder.root)
    target = store_at(place, tmp_path / "copy", monkeypatch)
    pull("delays", target.root, folder.root)
    target.storage.delete("datasets/delays/1.0.0/manifest.json")
    if place == "folder":
        aged(target)

    def clearing(*given):
        if place == "folder":
            assert clear(target, delete=True).objects == ()
        else:  # its objects cannot be made to look old
            for entry in target.storage.walk("objects"):
                target.storage.delete(entry.path)
        return taints(*given)

    monkeypatch.setattr("headrace.datasets.store.pull.taints", clearing)
    pull("delays", target.root, folder.root)
    assert verify(target, manifest).ok

"""kill -9 at random moments of a release: never a half one in sight, and the rerun completes it."""

import itertools
import os
import random
import shutil
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from headrace.datasets.store import split_files
from headrace.datasets.store.garbage_collection import clear
from headrace.datasets.store.parts import parts_of
from headrace.datasets.store.store import Store
from headrace.datasets.store.verify import verify_ref
from tests.datasets.stores import bucket_root
from tests.datasets.test_release import HALF, ROWS, made
from tests.datasets.test_store_places import aged
from tests.killing import child

OTHER = ROWS.slice(300)


@contextmanager
def many_parts():
    """So that a release of few rows is one of many objects."""
    split_files.parts_of = partial(parts_of, min_rows=60, max_rows=240)
    try:
        yield
    finally:
        split_files.parts_of = parts_of


def store_of(root: Path) -> Store:
    """What the folder `root` is about: a store in it, or the bucket that it names."""
    named = root / "address"
    if not named.exists():
        return Store.find(root / "store")
    address, endpoint = named.read_text().split()
    # A process of the fork server has the environment of its start.
    credentials = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    os.environ.update({"AWS_ENDPOINT_URL": endpoint, **credentials})
    return Store.find(address)


def half(root: Path) -> None:
    with many_parts():
        made(store_of(root).root, HALF)


def other(root: Path) -> None:
    with many_parts():
        made(store_of(root).root, OTHER)


@contextmanager
def watched(store: Store):
    """All the while, whoever looks sees whole releases only."""
    seen, done = set(), threading.Event()

    def look():
        while not done.wait(0.02):
            for version in store.versions("delays"):
                manifest = store.manifest("delays", version)
                split_files.check_there(store, manifest)
                seen.add(manifest.ref)

    with ThreadPoolExecutor(1) as one:
        looking = one.submit(look)
        try:
            yield seen
        finally:
            done.set()
            looking.result()


def whole(store: Store, versions: list[str]) -> list[str]:
    """The content hashes of the releases, which are these and verified."""
    assert store.versions("delays") == versions
    found = [verify_ref(store, "delays", version) for version in versions]
    assert [one.problems for one in found] == [()] * len(versions)
    return [one.content_hash for one in found]


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """A store with one release; what the next one is, undisturbed; and how many calls it takes."""
    root = tmp_path_factory.mktemp("calm")
    before = tmp_path_factory.mktemp("before")
    with many_parts():
        made(before / "store")
    shutil.copytree(before / "store", root / "store")
    assert child(half, root) == 0
    hashes = whole(store_of(root), ["1.0.0", "1.1.0"])
    manifest = store_of(root).manifest("delays", "1.1.0")
    assert sum(len(split.parts) for split in manifest.splits.values()) > 10
    return before, hashes, manifest.id, int((root / "calls").read_text())


def killed_until(count, calm, root_of, seed):
    """Kill that many releases, at moments all over the work, then let each complete."""
    _, hashes, expected, calls = calm
    moments, kills = random.Random(seed), 0
    for number in itertools.count():
        root = root_of(number)
        store = store_of(root)
        with watched(store) as seen:
            codes = [child(half, root, moments.randrange(calls)) for _ in range(2)]
        assert set(codes) <= {0, -signal.SIGKILL}
        assert seen <= {"delays@1.0.0", "delays@1.1.0"}
        there = store.versions("delays")
        assert whole(store, there) == hashes[: len(there)]
        half(root)
        assert whole(store, ["1.0.0", "1.1.0"]) == hashes
        assert store.manifest("delays", "1.1.0").id == expected
        kills += codes.count(-signal.SIGKILL)
        if kills >= count:
            return


def folder_of(tmp_path, calm):
    def root_of(number):
        root = tmp_path / str(number)
        shutil.copytree(calm[0] / "store", root / "store")
        return root

    return root_of


def test_a_few_kills_change_nothing(tmp_path, calm):
    killed_until(4, calm, folder_of(tmp_path, calm), 1)
    for root in tmp_path.iterdir():
        store = store_of(root)
        aged(store)
        clear(store, delete=True)
        assert store.storage.leftovers() == []
        assert clear(store).objects == ()
        whole(store, ["1.0.0", "1.1.0"])


@pytest.mark.slow
def test_two_hundred_kills_change_nothing(tmp_path, calm):
    killed_until(200, calm, folder_of(tmp_path, calm), 200)


def bucket_of(tmp_path, calm, monkeypatch):
    def root_of(number):
        root = tmp_path / str(number)
        root.mkdir()
        address = bucket_root(monkeypatch)
        (root / "address").write_text(f"{address} {os.environ['AWS_ENDPOINT_URL']}")
        storage, source = store_of(root).storage, Store(calm[0] / "store").storage
        for entry in source.walk(""):
            storage.create(entry.path, source.read_bytes(entry.path))
        return root

    return root_of


def test_a_few_kills_change_nothing_in_a_bucket(tmp_path, calm, monkeypatch):
    killed_until(1, calm, bucket_of(tmp_path, calm, monkeypatch), 3)


@pytest.mark.slow
def test_thirty_kills_change_nothing_in_a_bucket(tmp_path, calm, monkeypatch):
    killed_until(30, calm, bucket_of(tmp_path, calm, monkeypatch), 30)


def two_at_once(count, calm, root_of, seed):
    """One release is killed while another is made; then both complete, whichever came first."""
    _, (first, _), _, calls = calm
    moments, kills = random.Random(seed), 0
    contents = None
    for number in itertools.count():
        root = root_of(number)
        store = store_of(root)
        moment = moments.randrange(calls)
        with watched(store), ThreadPoolExecutor(2) as both:
            dying = both.submit(child, half, root, moment)
            living = both.submit(child, other, root)
            codes = dying.result(), living.result()
        assert codes[1] == 0
        whole(store, store.versions("delays"))
        if codes[0]:
            half(root)
        versions = store.versions("delays")
        assert versions in (["1.0.0", "1.1.0", "1.2.0"], ["1.0.0", "1.1.0"])
        found = whole(store, versions)
        assert found[0] == first
        contents = contents or set(found)
        assert set(found) == contents
        kills += codes[0] == -signal.SIGKILL
        if kills >= count:
            return


def test_two_releases_at_once_one_of_which_dies(tmp_path, calm):
    two_at_once(2, calm, folder_of(tmp_path, calm), 5)


@pytest.mark.slow
def test_two_releases_at_once_of_which_fifty_die(tmp_path, calm):
    two_at_once(50, calm, folder_of(tmp_path, calm), 50)


@pytest.mark.slow
def test_two_releases_at_once_of_which_ten_die_in_a_bucket(tmp_path, calm, monkeypatch):
    two_at_once(10, calm, bucket_of(tmp_path, calm, monkeypatch), 10)

"""A store follows its tables file by file: what came is read, what went leaves, nothing else."""

import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from headrace.core.clock import HOUR, parse_iso
from headrace.core.errors import StateError
from headrace.lake.ingest.staging import StagedFile
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.tables.lake import Lake
from headrace.serving.online import (
    MemoryStore,
    commits,
    layout_of,
    materialise,
    retain,
    store_metadata,
)
from tests.online.kit import entries
from tests.serving.world import DAYS, World

TABLE = "arrivals"


@dataclass
class Followed:
    """A lake of one table, and a store that follows it."""

    world: World
    store: MemoryStore = field(default_factory=MemoryStore)

    def __post_init__(self):
        one = self.world.pipeline
        self.layout = layout_of(one.views, one.contracts, one.mode)
        self.contract = one.contracts[TABLE]

    @property
    def files(self):
        return {file.path: file for file in Lake(self.world.home).files(TABLE)}

    def publish(self, *slots, suffix="", rows=slice(None)):
        for slot in slots:
            self.world.deliver(TABLE, slot, self.world.rows(slot)[TABLE][rows], suffix)
        before = set(self.files)
        self.world.publish(TABLE)
        return sorted(set(self.files) - before)

    def exchange(self, path, new=None):
        """Let a file go, or put another file of its batch in its place."""
        file = self.files[path]
        staged = StagedFile(
            Path(new or path + ".gone"), file.batch_id, file.rows if new else 0, TABLE
        )
        Lake(self.world.home).publish(self.contract, [], [staged])

    def follow(self, store=None):
        return materialise(self.world.home, self.layout, store or self.store, clock=lambda: 0)

    def afresh(self):
        """What a new store of the same files holds."""
        store = MemoryStore()
        self.follow(store)
        return held(store)


def applied(reader):
    return sorted(name.partition(":")[2] for name in store_metadata.read_files(reader, TABLE))


def held(store):
    """All but what the store says of itself; a text that no row has any more may stay."""
    return {key: value for key, value in entries(store).items() if key[:1] not in (b"m", b"t")}


@pytest.fixture
def followed(tmp_path, monkeypatch):
    made = Followed(World(tmp_path, mode="recorded"))
    made.publish(*DAYS[:2])
    made.follow()
    real, made.read = commits.history_batches, []

    def spied(home, table, columns, **options):
        made.read.append(options.get("files") or "keys")
        return real(home, table, columns, **options)

    monkeypatch.setattr(commits, "history_batches", spied)
    return made


def test_only_the_files_of_new_commits_are_read(followed):
    (new,) = followed.publish(DAYS[2])
    done = followed.follow()
    assert followed.read == [[new]]
    assert done.rows == {TABLE: followed.files[new].rows}
    assert held(followed.store) == followed.afresh()
    followed.read.clear()
    assert followed.follow().rows == {TABLE: 0}
    assert followed.read == []


def test_rows_of_a_recalled_file_leave_and_those_another_file_holds_stay(followed):
    (again,) = followed.publish(DAYS[0], suffix="_again", rows=slice(5))
    (other,) = followed.publish(DAYS[2])
    followed.follow()
    before = held(followed.store)
    with Ledger(followed.world.home) as ledger:
        slots = {key: batch.slot for key, batch in ledger.batches(TABLE).items()}
    files = followed.files.values()
    (first,) = [f.path for f in files if slots[f.batch_id] == DAYS[0] and f.path != again]
    followed.exchange(first)
    followed.read.clear()
    done = followed.follow()
    assert followed.read == ["keys"]  # the keys of the file, and of the rest no row
    assert done.renewed[TABLE] > 5
    assert held(followed.store) == followed.afresh() != before
    followed.exchange(again)
    followed.exchange(other)
    followed.follow()
    assert held(followed.store) == followed.afresh()
    with followed.store.reading() as reader:
        assert applied(reader) == sorted(followed.files)


def test_a_file_that_is_written_anew_changes_nothing(followed):
    before = held(followed.store)
    path = min(followed.files)
    shutil.copy(path, path + ".compact")
    followed.exchange(path, path + ".compact")
    done = followed.follow()
    assert held(followed.store) == before
    assert done.renewed == {TABLE: 0}
    assert followed.read == [[path + ".compact"]]


def test_a_file_that_is_published_again_is_usable_from_then_on(followed):
    path, before = min(followed.files), held(followed.store)
    followed.exchange(path)
    followed.world.publish(TABLE)
    assert path in followed.files
    followed.follow()
    assert before != held(followed.store) == followed.afresh()


def test_a_recalled_file_that_is_not_there_any_more_means_from_the_start(followed):
    path = min(followed.files)
    followed.exchange(path)
    Path(path).unlink()
    followed.follow()
    assert held(followed.store) == followed.afresh()


@pytest.mark.parametrize("removed", [False, True])
def test_what_was_dropped_stays_dropped(followed, removed):
    """A thinned store is, after a recall, what a new one is once it is thinned."""
    frontier, lateness = parse_iso(DAYS[5]), 20 * HOUR
    followed.publish(*DAYS[4:6])
    followed.follow()
    retain(followed.store, followed.layout, frontier, lateness=lateness)
    path = max(followed.files)
    followed.exchange(path)
    if removed:
        Path(path).unlink()
    followed.follow()
    whole = MemoryStore()
    followed.follow(whole)
    retain(whole, followed.layout, frontier, lateness=lateness)
    assert held(followed.store) == held(whole)


class Killed(Exception):  # noqa: N818
    pass


def killed_after(followed, monkeypatch, batches):
    real, left = commits.apply_in, [batches]

    def apply_in(*args, **options):
        if not left[0]:
            raise Killed
        left[0] -= 1
        return real(*args, **options)

    monkeypatch.setattr(commits, "apply_in", apply_in)
    with pytest.raises(Killed):
        followed.follow()
    monkeypatch.setattr(commits, "apply_in", real)


def test_a_first_time_that_was_killed_goes_on_where_it_was(followed, monkeypatch):
    followed.store = MemoryStore()
    first, second = followed.files
    monkeypatch.setattr(commits, "_ROWS", followed.files[first].rows)
    killed_after(followed, monkeypatch, 1)
    with followed.store.reading() as reader:
        assert store_metadata.read_frontier(reader, TABLE) is None
        assert applied(reader) == [first]
    followed.read.clear()
    followed.follow()
    assert followed.read == [[second]]
    assert held(followed.store) == followed.afresh()


@dataclass
class Flushed(MemoryStore):
    """Loses all that it holds after some transactions, as Redis does that is started again."""

    left: int = -1

    @contextmanager
    def writing(self):
        with super().writing() as writer:
            yield writer
        self.left -= 1
        if self.left == 0:
            self.entries = {}


def test_a_store_that_is_flushed_while_it_is_first_filled_is_not_claimed(followed, monkeypatch):
    monkeypatch.setattr(commits, "_ROWS", 60)
    followed.follow(counted := Flushed())
    transactions, whole = -1 - counted.left, followed.afresh()
    assert transactions >= 5
    for number in range(1, transactions):
        store = Flushed(left=number)
        with suppress(StateError):  # flushed before its first row, it is as it was
            followed.follow(store)
        with store.reading() as reader:
            assert store_metadata.read_frontier(reader, TABLE) is None or held(store) == whole
        followed.follow(store)
        assert held(store) == whole


def test_a_commit_is_held_whole_or_not_at_all(followed, monkeypatch):
    before = entries(followed.store)
    followed.publish(*DAYS[2:4])
    monkeypatch.setattr(commits, "_ROWS", 10)
    killed_after(followed, monkeypatch, 2)
    assert entries(followed.store) == before
    followed.follow()
    assert held(followed.store) == followed.afresh()

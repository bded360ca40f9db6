"""Objects where they lie: when they count as delivered, and how it shows that they changed."""

import hashlib
import json

import pyarrow as pa
import pytest

from headrace.core.errors import DeclarationError, SourceError, StateError
from headrace.sources.base import IncompleteError
from headrace.sources.delivery_reference import Reference, hash_of, referred
from headrace.sources.objects import ParquetObjects
from headrace.sources.parse import read_rows
from headrace.sources.sampling.files import sample_files
from headrace.sources.sampling.sample import Limits
from tests.sources.buckets import PLACES, parquet_bytes, places
from tests.sources.databases import Remembered

ROWS = pa.table({"id": [1, 2], "name": ["a", None]})
OTHER = pa.table({"id": [3, 4], "name": ["b", None]})


@pytest.fixture(params=PLACES)
def place(request, tmp_path, monkeypatch):
    yield from places(request.param, tmp_path, monkeypatch)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    yield from places("folder", tmp_path, monkeypatch)


def source(place, pattern="dt={slot}/*.parquet", **more):
    place.put("keep", b"")  # the place is there, also without a delivery
    given = {"settle": place.settle, **more}
    return ParquetObjects("sales", place.address, pattern, "the shop", **given)


def names(deliveries):
    return [one.origin.rsplit("/", 1)[-1] for one in deliveries]


def test_settled_objects_of_a_slot_are_registered_once(place):
    past, of = Remembered(), source(place)
    uri = place.put("dt=2024-01-01/b.parquet", ROWS)
    place.put("dt=2024-01-01/a.parquet", OTHER)
    place.put("dt=2024-01-02/c.parquet", OTHER)
    found = past.take(of.resume("2024-01-01", past))
    assert names(found) == ["a.parquet", "b.parquet"]
    assert found[1].origin == uri
    reference = Reference.of(found[1].payload)
    assert reference.rows == 2
    assert reference.sha256 == hashlib.sha256(parquet_bytes(ROWS)).hexdigest()
    assert len(found[1].payload) < 200, "no byte of the object is copied"
    assert read_rows(found[1]).table.to_pylist() == [
        {"id": "1", "name": "a"}, {"id": "2", "name": None}
    ]  # fmt: skip
    assert of.resume("2024-01-01", past) == []
    assert names(of.resume("2024-01-02", past)) == ["c.parquet"]
    assert of.resume("2024-01-03", past) == []


def test_half_written_objects_are_not_there_yet(place):
    past, of = Remembered(), source(place)
    whole = parquet_bytes(ROWS)
    for cut in (0, 4, len(whole) // 2, len(whole) - 1):
        place.put("dt=2024-01-01/a.parquet", whole[:cut])
        assert of.resume("2024-01-01", past) == []
    place.put("dt=2024-01-01/a.parquet", whole)
    place.put("dt=2024-01-01/b.parquet.part", whole)
    place.put("dt=2024-01-01/_temporary", whole)
    assert names(of.resume("2024-01-01", past)) == ["a.parquet"]


def test_an_object_that_never_gets_whole_is_an_error(folder):
    past, of = Remembered(), source(folder, stuck_after="30m")
    folder.put("dt=2024-01-01/a.parquet", b"PAR1")
    folder.put("dt=2024-01-01/b.parquet", ROWS)
    with pytest.raises(IncompleteError, match="no whole footer 30m after") as caught:
        of.resume("2024-01-01", past)
    assert names(caught.value.deliveries) == ["b.parquet"], "the others go on"


def test_what_changed_just_now_has_to_settle_unless_it_is_marked(folder):
    past, of = Remembered(), source(folder)
    folder.put("dt=2024-01-01/a.parquet", ROWS, age=30)
    assert of.resume("2024-01-01", past) == []
    folder.put("dt=2024-01-01/_SUCCESS", b"")
    assert names(of.resume("2024-01-01", past)) == ["a.parquet"]
    assert source(folder, marker=None).resume("2024-01-01", past) == []


def test_the_same_bytes_again_are_the_same_batch(place):
    past, of = Remembered(), source(place)
    place.put("dt=2024-01-01/a.parquet", ROWS)
    first = past.take(of.resume("2024-01-01", past))
    place.put("dt=2024-01-01/again.parquet", ROWS)
    place.put("dt=2024-01-01/a.parquet", ROWS, age=1800)
    (again,) = of.resume("2024-01-01", past)
    assert names([again]) == ["again.parquet"], "rewriting the same bytes is nothing"
    assert again.batch_id == first[0].batch_id


def test_a_registered_object_that_changes_or_goes_is_an_error_once_it_is_published(place):
    past, of = Remembered(), source(place)
    place.put("dt=2024-01-01/a.parquet", ROWS)
    place.put("dt=2024-01-01/b.parquet", ROWS.slice(0, 1))
    past.take(of.resume("2024-01-01", past))
    past.published = True
    place.put("dt=2024-01-01/a.parquet", OTHER.slice(0, 1), age=1800)
    place.put("dt=2024-01-01/c.parquet", OTHER)
    with pytest.raises(IncompleteError, match=r"a.parquet was registered on .* other bytes") as it:
        of.resume("2024-01-01", past)
    assert names(it.value.deliveries) == ["c.parquet"]
    place.put("dt=2024-01-01/a.parquet", ROWS, age=900)
    place.remove("dt=2024-01-01/b.parquet")
    with pytest.raises(IncompleteError, match=r"b.parquet, registered on .* is gone"):
        of.resume("2024-01-01", past)
    assert names(source(place, expires="0s").resume("2024-01-01", past)) == ["c.parquet"]


def test_an_object_that_was_never_published_may_be_replaced(place):
    past, of = Remembered(), source(place)
    place.put("dt=2024-01-01/a.parquet", ROWS)
    past.take(of.resume("2024-01-01", past))
    place.put("dt=2024-01-01/a.parquet", OTHER.slice(0, 1), age=1800)
    (new,) = past.take(of.resume("2024-01-01", past))
    assert read_rows(new).table["id"].to_pylist() == ["3"]


def test_other_bytes_are_never_read_silently(place):
    past, of = Remembered(), source(place)
    uri = place.put("dt=2024-01-01/a.parquet", ROWS)
    (made,) = of.resume("2024-01-01", past)
    place.put("dt=2024-01-01/a.parquet", pa.table({"id": [1, 9], "name": ["a", None]}), age=1800)
    with pytest.raises(StateError, match="other bytes than were registered"):
        read_rows(made)
    place.put("dt=2024-01-01/a.parquet", ROWS, age=1700)
    with pytest.raises(StateError, match="changed while it was read"), referred(made):
        place.put("dt=2024-01-01/a.parquet", OTHER.slice(0, 1), age=1600)
    place.remove("dt=2024-01-01/a.parquet")
    with pytest.raises(StateError, match="is gone") as caught:
        read_rows(made)
    assert caught.value.where == uri


def test_without_a_slot_all_objects_are_of_the_snapshot(place):
    of = source(place, "**/*.parquet")
    place.put("x/y/a.parquet", ROWS)
    place.put("b.parquet", OTHER)
    assert names(of.resume("snapshot", Remembered())) == ["b.parquet", "a.parquet"]
    assert of.resume("2024-01-01", Remembered()) == []


def test_a_wrong_place_is_no_empty_slot(place):
    wrong = ParquetObjects("x", f"{place.address}/nowhere", "{slot}.parquet", "x")
    with pytest.raises(SourceError, match="nothing at"):
        wrong.resume("2024-01-01", Remembered())


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_a_missing_bucket_says_so(place):
    missing = ParquetObjects("x", "s3://no-such-bucket-here", "{slot}.parquet", "x")
    with pytest.raises(SourceError) as caught:
        missing.resume("2024-01-01", Remembered())
    assert "bucket" in str(caught.value).lower() or "nothing at" in str(caught.value)


def test_it_cannot_be_asked_without_a_past(place):
    with pytest.raises(DeclarationError, match="needs the ledger"):
        source(place).deliveries("2024-01-01")
    with pytest.raises(DeclarationError, match="negative"):
        source(place, settle="-1s")


def test_the_position_says_what_is_needed_to_see_a_change(place):
    past, of = Remembered(), source(place)
    uri = place.put("dt=2024-01-01/a.parquet", ROWS)
    past.take(of.resume("2024-01-01", past))
    known = json.loads(past.position(uri))
    assert known["slot"] == "2024-01-01"
    assert known["version"]["size"] == len(parquet_bytes(ROWS))
    assert bool(known["version"]["etag"]) is not place.is_local
    assert hash_of.cache_info().currsize == 1


def test_a_sample_of_objects(place):
    for day in (1, 2):
        place.put(f"dt=2024-01-0{day}/part.parquet", ROWS)
    found = sample_files(f"{place.address}/**/*.parquet", Limits())
    assert (found.table.num_rows, found.total, found.details["files"]) == (4, 4, 2)

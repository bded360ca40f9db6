"""Drop folders: which files are there for a slot, and in which order they came."""

import gzip
import io
import os
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.core.errors import DeclarationError, SourceError
from headrace.sources.base import Delivery
from headrace.sources.files import DropFolder
from headrace.sources.parse import read_rows
from headrace.sources.parsing.archives import content
from tests.sources.buckets import places


def folder(path, pattern="sales_{slot}*.csv") -> DropFolder:
    return DropFolder("sales", path, pattern, "the shop")


def drop(path, name: str, content: bytes, second: int) -> None:
    (path / name).write_bytes(content)
    os.utime(path / name, (second, second))


def test_files_come_in_order_of_time_then_name(tmp_path):
    drop(tmp_path, "sales_1.csv", b"third", 30)
    drop(tmp_path, "sales_1_b.csv", b"second", 20)
    drop(tmp_path, "sales_1_a.csv", b"first", 20)
    drop(tmp_path, "sales_2.csv", b"other slot", 10)
    found = folder(tmp_path).deliveries("1")
    assert [d.payload for d in found] == [b"first", b"second", b"third"]
    assert [d.sequence for d in found] == [0, 1, 2]
    assert [d.arrived_at for d in found] == [20_000_000, 20_000_000, 30_000_000]
    assert found[0].origin == str(tmp_path / "sales_1_a.csv")
    assert {(d.source, d.slot, d.format, d.producer) for d in found} == {
        ("sales", "1", "csv", "the shop")
    }


def test_unfinished_and_hidden_files_are_not_there_yet(tmp_path):
    for name in (".sales_1.csv", "sales_1.csv.part", "sales_1.csv.tmp"):
        drop(tmp_path, name, b"x", 1)
    (tmp_path / "sales_1_folder.csv").mkdir()
    assert folder(tmp_path).deliveries("1") == []
    assert folder(tmp_path, "*sales_{slot}*.csv").deliveries("1") == []


def test_a_slot_is_never_a_wildcard(tmp_path):
    drop(tmp_path, "sales_1.csv", b"x", 1)
    assert folder(tmp_path).deliveries("[0-9]") == []
    assert folder(tmp_path).deliveries("*") == []


def test_the_suffix_decides_the_format(tmp_path):
    drop(tmp_path, "a_1.ndjson", b"{}", 1)
    (found,) = folder(tmp_path, "a_{slot}.ndjson").deliveries("1")
    assert found.format == "ndjson"


def test_a_missing_folder_is_an_error_that_says_so(tmp_path):
    with pytest.raises(SourceError, match="there is no folder"):
        folder(tmp_path / "gone").deliveries("1")


@pytest.mark.parametrize(
    "pattern", ["sales.csv", "in/sales_{slot}.csv", "sales_{slot}.xlsx", "a_{slot}.gz"]
)
def test_patterns_that_cannot_work_are_refused(tmp_path, pattern):
    with pytest.raises(DeclarationError):
        folder(tmp_path, pattern)


def test_the_same_bytes_are_one_batch_whatever_the_file_is_called(tmp_path):
    drop(tmp_path, "sales_1.csv", b"a\n1\n", 1)
    drop(tmp_path, "sales_1_again.csv", b"a\n1\n", 2)
    first, again = folder(tmp_path).deliveries("1")
    assert first.batch_id == again.batch_id
    assert first.content_sha == again.content_sha


def test_source_slot_and_bytes_make_the_batch_id():
    def batch(source="s", slot="1", payload=b"x"):
        return Delivery(source, slot, payload, "csv", "o", 0, "p").batch_id

    others = {batch(source="t"), batch(slot="2"), batch(payload=b"y"), batch("s1", "", b"x")}
    assert len(others | {batch()}) == 5


def test_parquet_is_read_as_text_is(tmp_path):
    table = pa.table({"id": [1, None], "share": [0.1, 2.0], "ok": [True, False]})
    pq.write_table(table, tmp_path / "a_2024-01-01.parquet")
    (found,) = DropFolder("a", tmp_path, "a_{slot}.parquet", "x").deliveries("2024-01-01")
    assert read_rows(found).table.to_pylist() == [
        {"id": "1", "share": "0.1", "ok": "true"},
        {"id": None, "share": "2", "ok": "false"},
    ]
    nested = pa.table({"id": [1], "list": [[1]]})
    pq.write_table(nested, tmp_path / "a_2024-01-02.parquet")
    (tmp_path / "a_2024-01-03.parquet").write_bytes(b"PAR1")
    for day, why in (("2024-01-02", "nested"), ("2024-01-03", "no whole Parquet file")):
        (found,) = DropFolder("a", tmp_path, "a_{slot}.parquet", "x").deliveries(day)
        assert why in read_rows(found).malformed[0].why


def zipped(**members: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("_csv", ".csv"), data)
    return sink.getvalue()


TEXT = b"id\n1\n2\n"
GZ, ZST = (pa.compress(TEXT, codec=codec, asbytes=True) for codec in ("gzip", "zstd"))


def test_a_zip_delivers_the_file_in_it(tmp_path):
    drop(tmp_path, "sales_2024-01-01.zip", zipped(a_csv=b"id\n1\n"), 100)
    (found,) = folder(tmp_path, "sales_{slot}*.zip").deliveries("2024-01-01")
    assert (found.payload, found.format) == (b"id\n1\n", "csv")
    assert found.origin.endswith("sales_2024-01-01.zip!a.csv")


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("zip", zipped(a_csv=b"", b_csv=b""), "the zip holds 2 files: a.csv, b.csv; deliver one"),
        ("zip", zipped(), "the zip holds no file"),
        ("zip", zipped(a_csv=b"id\n1\n")[:-30], "the zip is cut short"),
        ("zip", zipped(picture=b"id"), "the zip holds picture, which ends in none of"),
        ("zip", b"id\n1\n", "the file is named .zip and is not a zip"),
        ("zip", zipped(a_csv=b"id\n1\n").replace(b"id", b"di", 1), "the zip is damaged: Bad CRC"),
        ("csv.gz", GZ[:-6], "the .gz file is cut short"),
        ("csv.gz", b"id\n1\n", "is not gzip data"),
        ("csv.zst", ZST[:-6], "the .zst file is cut short"),
        ("csv.zst", b"id\n1\n" * 9, "is not zstd data"),
    ],
    # A zip holds the time at which it was made, and workers have to collect the same names.
    ids=lambda value: "file" if isinstance(value, bytes) else value,
)
def test_an_archive_that_cannot_be_read_is_delivered_and_says_why(tmp_path, name, data, why):
    drop(tmp_path, f"sales_2024-01-02.{name}", data, 100)
    source = folder(tmp_path, "sales_{slot}*." + ("zip" if name == "zip" else "csv"))
    (found,) = source.deliveries("2024-01-02")
    assert found.payload == data
    (part,) = read_rows(found).malformed
    assert why in part.why


def test_compressed_files_are_read_and_kept_as_they_came(tmp_path):
    for number, (suffix, data) in enumerate((("", TEXT), (".gz", GZ + GZ), (".zst", ZST))):
        drop(tmp_path, f"sales_2024-01-01_{number}.csv{suffix}", data, number)
    found = folder(tmp_path, "sales_{slot}*.csv").deliveries("2024-01-01")
    assert [one.payload for one in found] == [TEXT, GZ + GZ, ZST]
    assert [one.format for one in found] == ["csv"] * 3
    assert [read_rows(one).table.num_rows for one in found] == [2, 5, 2]
    assert len({one.batch_id for one in found}) == 3
    lines = b'{"id": 1}\n'
    drop(tmp_path, "log_2024-01-01.ndjson.zst", pa.compress(lines, codec="zstd", asbytes=True), 1)
    (one,) = DropFolder("log", tmp_path, "log_{slot}.ndjson.zst", "x").deliveries("2024-01-01")
    assert read_rows(one).table.to_pylist() == [{"id": "1"}]


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    yield from places("s3", tmp_path, monkeypatch)


def test_a_drop_folder_in_a_bucket(bucket):
    bucket.put("sales_2024-01-01_b.csv", b"id\n2\n")
    bucket.put("sales_2024-01-01_a.csv", b"id\n1\n")
    bucket.put("sales_2024-01-02.csv", b"id\n3\n")
    bucket.put("sales_2024-01-01.csv.part", b"id\n")
    found = folder(bucket.address).deliveries("2024-01-01")
    assert sorted(one.payload for one in found) == [b"id\n1\n", b"id\n2\n"]
    assert found[0].origin.startswith("s3://")
    assert [one.sequence for one in found] == [0, 1]
    assert folder(bucket.address).deliveries("2024-01-03") == []
    with pytest.raises(SourceError, match="nothing at"):
        folder(f"{bucket.address}/none").deliveries("2024-01-01")


@pytest.mark.parametrize("suffix", [".gz", ".GZ"])
def test_the_case_of_a_suffix_does_not_matter(suffix):
    packed = gzip.compress(b"id\n1\n")
    assert content(packed, f"meter.csv{suffix}", (".csv",)) == b"id\n1\n"

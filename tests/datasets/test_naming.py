"""Where somebody still stands: decoded Parquet, bytes, and nothing that only looks like it."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.datasets.erasure import residue_scan
from headrace.datasets.erasure.residue_scan import ResidueMatch, where_named

ROWS = pa.table(
    {
        "who": ["ann.smith", "bo", None],
        "id": pa.array([17, 4711, 5]),
        "note": pa.array(["none", "see ann.smith", ""]).dictionary_encode(),
    }
)


@pytest.fixture
def root(tmp_path):
    pq.write_table(ROWS, tmp_path / "rows.parquet", compression="zstd")
    (tmp_path / "a.json").write_text('{"min": "ann.smith", "id": 17, "long": 12345678}\n')
    (tmp_path / "b.csv").write_text("who,id\nbo,17\nann.smith,18\n")
    (tmp_path / "digest.json").write_text('{"sha": "aa12345678bb"}')
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 ann.smith and no more")
    (tmp_path / "empty").touch()
    return tmp_path


@pytest.mark.parametrize(
    "entity, expected",
    [
        (
            {"who": "ann.smith"},
            ["a.json:", "b.csv:", "broken.parquet:", "rows.parquet:note", "rows.parquet:who"],
        ),
        ({"who": "bo"}, ["rows.parquet:who"]),  # too short to mean anybody elsewhere
        ({"id": "17"}, ["rows.parquet:id"]),
        ({"id": "4711"}, ["rows.parquet:id"]),
        ({"other": "12345678"}, ["a.json:"]),  # and not within a digest
        ({"who": "ann.smith", "id": "17"}, ["a.json:", "rows.parquet:id", "rows.parquet:who"]),
        ({"who": "ann.smith", "id": "18"}, ["b.csv:"]),
        ({"who": "bo", "id": "17"}, []),
        ({"who": "nobody at all"}, []),
    ],
)
def test_found_where_it_stands(root, entity, expected):
    assert [f"{one.path}:{one.column}" for one in where_named(root, entity)] == expected


def test_a_value_across_two_blocks_is_found(root, monkeypatch):
    (root / "long").write_bytes(b"x" * 37 + b"ann.smith" + b"y" * 50)
    for block in range(10, 60):
        monkeypatch.setattr(residue_scan, "_BLOCK", block)
        assert ResidueMatch("long") in where_named(root, {"who": "ann.smith"})

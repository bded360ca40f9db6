"""The served log: durable, append-only, sampled by entity, readable with DuckDB."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from headrace.core.errors import DeclarationError, StateError
from headrace.serving import Entry, ServedLog
from headrace.serving.log import SCHEMA
from tests.serving.killed import vector


def test_duckdb_reads_every_bit(tmp_path):
    with closing(ServedLog(tmp_path / "served.sqlite")) as log:
        log.append([Entry(vector(n), "late@abc", n / 3) for n in range(50)])
        served = log.table()
    assert served.schema == SCHEMA
    with duckdb.connect() as db:
        db.register("served", served)
        rows = db.execute(
            "SELECT sequence, t, CAST(request->>'$.trip' AS BIGINT),"
            " CAST(vector->>'$.x' AS DOUBLE), score, model, frontier->>'$.arrivals'"
            " FROM served ORDER BY sequence"
        ).fetchall()
    assert rows == [(n + 1, n, n, n / 7, n / 3, "late@abc", "1") for n in range(50)]


def test_it_only_grows_and_reopens(tmp_path):
    path = tmp_path / "served.sqlite"
    for number in range(3):
        with closing(ServedLog(path)) as log:
            log.append([Entry(vector(number))])
            log.append([])
    with closing(ServedLog(path)) as log:
        assert log.table()["t"].to_pylist() == [0, 1, 2]
        assert log.table(after=2)["t"].to_pylist() == [2]
        assert [part.num_rows for part in log.parts(size=2)] == [2, 1]
        assert log.table(after=3).schema == SCHEMA


def test_infinities_and_nulls_are_kept(tmp_path):
    one = vector(1)
    for value in (float("inf"), float("-inf"), None, -0.0):
        row = one.row.set_column(2, "x", [[value]])
        assert str(replace(one, row=row).values["x"]) == str(value)
    with closing(ServedLog(tmp_path / "l.sqlite")) as log:
        log.append([Entry(replace(one, row=one.row.set_column(2, "x", [[float("inf")]])))])
        assert json.loads(log.table()["vector"][0].as_py()) == {"x": "inf"}


def test_entities_are_sampled_by_their_hash_alone(tmp_path):
    counts, kept = {}, {}
    for share in (0.0, 0.25, 0.5, 1.0):
        with closing(ServedLog(tmp_path / f"{share}.sqlite", share=share)) as log:
            entries = [Entry(vector(n)) for n in range(2000)]
            counts[share] = log.append(entries)
            assert counts[share] == log.append(entries)
            trips = [json.loads(r)["trip"] for r in log.table()["request"].to_pylist()]
            assert trips[: counts[share]] == trips[counts[share] :]
            kept[share] = set(trips)
            assert set(log.table()["share"].to_pylist()) <= {share}
    assert (counts[0.0], counts[1.0]) == (0, 2000)
    assert 400 < counts[0.25] < 600
    assert kept[0.25] < kept[0.5]
    with pytest.raises(DeclarationError, match="share"):
        ServedLog(tmp_path / "x.sqlite", share=1.5)


def test_a_log_of_a_newer_format_is_refused(tmp_path):
    path = tmp_path / "served.sqlite"
    ServedLog(path).close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")
    with pytest.raises(StateError, match="99"):
        ServedLog(path)


@pytest.mark.parametrize("wait", [1, 40])
def test_what_was_acknowledged_survives_a_kill(tmp_path, wait):
    path = tmp_path / "served.sqlite"
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.serving.killed", str(path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.stdout is not None
    for _ in range(wait):
        child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    rest = child.stdout.read().splitlines()
    child.stdout.close()
    child.wait()
    acknowledged = wait + len(rest)
    with closing(ServedLog(path)) as log:
        written = log.table()
        assert written["t"].to_pylist() == list(range(written.num_rows))
        assert acknowledged <= written.num_rows <= acknowledged + 1
        log.append([Entry(vector(7))])
        assert log.table()["sequence"][-1].as_py() == written.num_rows + 1


def test_a_damaged_log_is_told_as_such(tmp_path):
    path = tmp_path / "served.sqlite"
    with closing(ServedLog(path)) as log:
        log.append([Entry(vector(n)) for n in range(300)])
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2 :] = b"x" * (len(whole) - len(whole) // 2)
    path.write_bytes(whole)
    with closing(ServedLog(path)) as log, pytest.raises(StateError, match="cannot be read"):
        log.table()

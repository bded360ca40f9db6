"""`headrace serve` as a process: stopped in order, killed, with workers, and misused."""

import json
import sqlite3
import threading
from contextlib import closing, suppress
from dataclasses import replace
from http.client import HTTPException

import pytest
from typer.testing import CliRunner

from headrace.cli.app import app
from headrace.core.clock import parse_iso
from headrace.core.errors import DeclarationError, StateError
from headrace.pipeline import served_log
from headrace.serving import Entry, ServedLog
from headrace.serving.http.keys import ApiKeys, read_keys
from headrace.serving.http.log_writer import LogWriter
from tests.serving.killed import vector
from tests.serving.world import DAYS
from tests.serving_http.server import KEY, Client, command, stopped, wait

AT = parse_iso(DAYS[9])


def request(trip):
    return {"trip": trip, "line": "A", "stop": "north", "due": "2024-03-10T02:00:00Z", "fare": 1}


def trips(lines, after):
    with closing(served_log(lines.pipeline, lines.home)) as log:
        rows = log.table(after=after)
    return [json.loads(one)["trip"] for one in rows["request"].to_pylist()]


def logged(lines):
    with closing(served_log(lines.pipeline, lines.home)) as log:
        return log.table().num_rows


def test_an_orderly_stop_loses_no_answer(lines, project):
    """Stopped in the middle of what four clients ask: each answer is in the log, and only those."""
    before, given = logged(lines), []
    with command(project, lines.home, "--log-share", "1", HEADRACE_API_KEY=KEY) as (process, port):

        def ask(number):
            with closing(Client(port, KEY)) as client, suppress(OSError, HTTPException):
                for trip in range(number * 1000, number * 1000 + 1000):
                    assert client.vectors(request(trip), at=AT)[0] == 200
                    given.append(trip)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        wait(lambda: len(given) > 40)
        told = stopped(process)
        for thread in threads:
            thread.join()
    assert len(given) > 40
    assert sorted(trips(lines, before)) == sorted(given)
    assert KEY not in told


def test_a_kill_loses_the_last_moments_at_most(lines, project):
    before = logged(lines)
    with command(project, lines.home, "--log-share", "1") as (process, port):
        with closing(Client(port)) as client:
            for trip in range(30):
                assert client.vectors(request(trip), at=AT)[0] == 200
            wait(lambda: logged(lines) >= before + 30)
            for trip in range(30, 40):
                client.vectors(request(trip), at=AT)
        process.kill()
        process.wait()
    written = trips(lines, before)
    assert written == list(range(len(written)))
    assert 30 <= len(written) <= 40


@pytest.mark.slow
def test_workers_answer_log_and_count_together(lines, project):
    before = logged(lines)
    options = ("--workers", "2", "--log-share", "1")
    with command(project, lines.home, *options) as (process, port):
        for trip in range(24):  # a connection each, so that both get some
            with closing(Client(port)) as client:
                assert client.vectors(request(trip), at=AT)[0] == 200
        with closing(Client(port)) as client:
            text = client.ask("GET", "/metrics")[1]
        stopped(process)
    assert 'headrace_requests_total{path="/v1/vectors",status="200"} 24.0' in text
    assert sorted(trips(lines, before)) == list(range(24))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--host", "0.0.0.0"], "there is no API key"),
        (["other"], "no pipeline 'other'"),
        (["--api-key-file", "missing"], "cannot be read"),
        (["--host", "203.0.113.7", "--no-api-key"], "cannot listen on"),
        (["--backend", "cellar"], "no source 'cellar'"),
    ],
)
def test_misuse_ends_in_a_sentence(lines, project, monkeypatch, options, says):
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(project)
    monkeypatch.setenv("HEADRACE_HOME", str(lines.home.root))
    monkeypatch.delenv("HEADRACE_API_KEY", raising=False)
    done = CliRunner().invoke(app, ["serve", "--port", "0", *options])
    assert done.exit_code == 2
    assert says in done.output
    assert "fix:" in done.output


@pytest.mark.parametrize(
    "text", ["", "too-short", "a-key-with-ümlauts-in-it", "a-key\x00with-a-zero-in"]
)
def test_a_bad_key_is_refused_and_not_shown(tmp_path, monkeypatch, text):
    (tmp_path / "keys").write_text(text)
    with pytest.raises(DeclarationError) as refused:
        read_keys(tmp_path / "keys")
    assert not text or text not in str(refused.value) + refused.value.fix
    monkeypatch.delenv("HEADRACE_API_KEY", raising=False)
    assert read_keys(None) == ApiKeys()


def test_a_log_that_refuses_holds_answers_back_and_recovers(tmp_path):
    path = tmp_path / "served.sqlite"
    writer = LogWriter(ServedLog(path), capacity=4, pause=0.01)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("ALTER TABLE served RENAME TO away")
    writer.enqueue([Entry(vector(n), served_at=n) for n in range(4)])
    with pytest.raises(StateError, match="cannot be logged"):
        writer.enqueue([Entry(vector(9))])
    wait(lambda: writer.failure)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("ALTER TABLE away RENAME TO served")
    wait(lambda: not writer.waiting)
    assert not writer.failure
    writer.enqueue([Entry(vector(4), served_at=4)])
    writer.close()
    with closing(ServedLog(path)) as log:
        assert log.table()["served_at"].to_pylist() == [0, 1, 2, 3, 4]
    with pytest.raises(StateError):
        writer.enqueue([Entry(vector(5))])


def test_an_answer_that_cannot_be_written_is_put_aside_and_said(tmp_path, caplog):
    """No other answer waits for it, and the thread goes on."""
    path = tmp_path / "served.sqlite"
    writer = LogWriter(ServedLog(path), pause=0.01)
    writer.enqueue([Entry(vector(n), served_at=2**70 if n == 1 else n) for n in range(4)])
    wait(lambda: not writer.waiting)
    writer.enqueue([Entry(vector(4), served_at=4)])
    with pytest.raises(StateError, match="1 answers were given but not logged"):
        writer.close()
    with closing(ServedLog(path)) as log:
        assert log.table()["served_at"].to_pylist() == [0, 2, 3, 4]
    assert "is dropped" in caplog.text
    assert "OverflowError" in caplog.text


def test_what_was_given_and_could_not_be_logged_is_said(tmp_path):
    path = tmp_path / "served.sqlite"
    writer = LogWriter(ServedLog(path), pause=0.01)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("DROP TABLE served")
    writer.enqueue([Entry(replace(vector(1)))])
    with pytest.raises(StateError, match="1 answers were given but not logged"):
        writer.close()

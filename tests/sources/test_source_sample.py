"""A bounded look at a source: what it is written in is found out; what is wrong is said."""

import gzip
import json
import os
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from headrace.core.errors import DeclarationError, SourceError
from headrace.sources.sampling.files import sample_files
from headrace.sources.sampling.http import sample_http
from headrace.sources.sampling.sample import Limits
from headrace.sources.sampling.sql import sample_sql
from tests.sources.databases import POSTGRES, require_postgres

CSV = "id,name\n1,Müller\n2,Bär\n"
ROWS = [{"id": "1", "name": "Müller"}, {"id": "2", "name": "Bär"}]
MOST = Limits()
NAME = f"tried_{os.getpid()}"  # tests run beside each other
NOBODY, SECRET = f"hr_nobody_{os.getpid()}", f"hr_secret_{os.getpid()}"


def parquet(path):
    pq.write_table(pa.table({"id": [1, 2], "name": ["Müller", "Bär"]}), path)


@pytest.mark.parametrize(
    ("name", "data", "about"),
    [
        ("a.csv", CSV.encode(), {"encoding": "utf-8", "delimiter": ","}),
        ("a.csv", CSV.encode("utf-8-sig"), {"encoding": "utf-8-sig"}),
        ("a.csv", CSV.replace(",", ";").encode("cp1252"), {"delimiter": ";"}),
        ("a.txt", CSV.replace(",", "\t").encode("utf-16"), {"encoding": "utf-16"}),
        ("a.ndjson", "".join(json.dumps(row) + "\n" for row in ROWS).encode(), {}),
        ("a.json", json.dumps(ROWS, indent=2).encode(), {}),
        ("a.json", json.dumps({"records": ROWS, "next": None}).encode(), {}),
    ],
)
def test_every_form_gives_the_same_rows(tmp_path, name, data, about):
    (tmp_path / name).write_bytes(data)
    found = sample_files(str(tmp_path / name), MOST)
    assert found.table.to_pylist() == ROWS
    assert found.complete
    assert about.items() <= found.details.items()


def test_parquet_and_zip(tmp_path):
    parquet(tmp_path / "a.parquet")
    found = sample_files(str(tmp_path / "a.parquet"), MOST)
    assert (found.table.to_pylist(), found.total, found.complete) == (ROWS, 2, True)
    assert found.declared == {"id": "int64", "name": "string"}
    for member, data in (
        ("x.csv", CSV.encode()),
        ("x.parquet", (tmp_path / "a.parquet").read_bytes()),
    ):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr(member, data)
        found = sample_files(str(tmp_path / "a.zip"), MOST)
        assert found.table.to_pylist() == ROWS
        assert found.details["member"] == member


def test_no_more_is_read_than_the_limit(tmp_path):
    lines = "".join(f"{n},{'x' * 50}\n" for n in range(100_000))
    (tmp_path / "a.csv").write_text(f"id,text\n{lines}")
    found = sample_files(str(tmp_path / "a.csv"), Limits(10_000_000, 100_000))
    assert not found.complete
    assert found.table.num_rows == pytest.approx(100_000 / 57, rel=0.1)
    assert set(found.table["text"].to_pylist()) == {"x" * 50}, "no half line"
    pq.write_table(pa.table({"id": range(100_000)}), tmp_path / "a.parquet", row_group_size=1000)
    found = sample_files(str(tmp_path / "a.parquet"), Limits(rows=1500))
    assert (found.table.num_rows, found.total, found.complete) == (1500, 100_000, False)


def test_a_folder_shows_its_pattern_and_where_files_differ(tmp_path):
    for day in range(1, 6):
        header = "id,name" if day < 5 else "id,title"
        (tmp_path / f"sales_2024-01-0{day}.csv").write_text(f"{header}\n{day},x\n")
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / "half.csv.part").write_text("id,na")
    found = sample_files(str(tmp_path), MOST)
    assert (found.details["files"], found.details["pattern"]) == (5, "sales_{slot}.csv")
    assert found.name == "sales"
    assert any("no name; also title" in note for note in found.notes)
    some = sample_files(str(tmp_path / "sales_2024-01-0[12].csv"), MOST)
    assert some.details["files"] == 2


def test_compressed_files_are_sampled_as_the_file_inside(tmp_path):
    text = "id,name\n" + "".join(f"{n},x\n" for n in range(5000))
    for day, codec, suffix in (("01", "gzip", "gz"), ("02", "zstd", "zst")):
        packed = pa.compress(text.encode(), codec=codec, asbytes=True)
        (tmp_path / f"sales_2024-01-{day}.csv.{suffix}").write_bytes(packed)
    found = sample_files(str(tmp_path), MOST)
    assert (found.name, found.details["pattern"], found.format) == (
        "sales",
        "sales_{slot}.csv",
        "csv",
    )
    assert found.table.num_rows == found.total
    few = sample_files(str(tmp_path / "sales_2024-01-01.csv.gz"), Limits(100, 1000))
    assert (few.table.num_rows, few.complete, few.details["compression"]) == (100, False, "gzip")


@pytest.mark.parametrize(
    ("name", "data", "what"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"id,name\n", "no row"),
        ("a.csv", b"\x00\x01\x02", "not text"),
        ("a.csv", gzip.compress(b"id\n1\n", mtime=0), "not text"),
        ("a.parquet", b"PAR1 and then", "not a complete Parquet file"),
        ("a.zip", b"PK\x03\x04", "not a complete zip file"),
        ("a.csv.gz", gzip.compress(b"id\n1\n", mtime=0)[:-4], "not a complete gzip file"),
        ("a.csv.zst", b"id\n1\n", "not a complete zstd file"),
        ("a.json", b"{}", "no row"),
    ],
)
def test_what_cannot_be_read_is_an_error_that_says_so(tmp_path, name, data, what):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SourceError, match=what) as caught:
        sample_files(str(tmp_path / name), MOST)
    assert str(tmp_path) in caught.value.where


def test_nothing_there(tmp_path):
    (tmp_path / "other.csv").write_text(CSV)
    with pytest.raises(SourceError, match="nothing at") as caught:
        sample_files(str(tmp_path / "a.csv"), MOST)
    assert "other.csv" in caught.value.fix


@pytest.fixture(params=["sqlite", "duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request, tmp_path):
    if request.param == "duckdb":
        with duckdb.connect(str(tmp_path / "a.duckdb")) as db:
            db.execute(f"CREATE TABLE {NAME} (id INTEGER PRIMARY KEY, name TEXT, raw BLOB)")
            db.execute(f"INSERT INTO {NAME} VALUES (1, 'Müller', NULL), (2, 'Bär', '\\xAA')")
        yield f"duckdb:///{tmp_path}/a.duckdb"
        return
    if request.param == "postgres":
        request.getfixturevalue("postgres")
    url = f"sqlite:///{tmp_path}/a.db" if request.param == "sqlite" else POSTGRES
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    columns = [sa.Column("name", sa.String), sa.Column("raw", sa.LargeBinary)]
    made = sa.Table(NAME, sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), *columns)
    with engine.begin() as connection:
        made.drop(connection, checkfirst=True)
        made.create(connection)
        connection.execute(made.insert(), [{**row, "raw": b"\xaa"} for row in ROWS])
    yield url
    made.drop(engine)


def test_a_table(database):
    found = sample_sql(f"{database}#{NAME}", MOST)
    assert found.table.select(["id", "name"]).to_pylist() == ROWS
    assert found.complete
    assert found.total == 2
    assert found.declared["id"].lower().startswith("int")
    assert any("column raw" in note for note in found.notes)
    some = sample_sql(f"{database}#{NAME}", Limits(rows=1))
    assert (some.table.num_rows, some.complete) == (1, False)


def test_a_missing_table_names_those_that_are_there(database):
    with pytest.raises(SourceError, match="no table 'nope'") as caught:
        sample_sql(f"{database}#nope", MOST)
    assert NAME in caught.value.fix
    with pytest.raises(DeclarationError, match="no table is named"):
        sample_sql(database, MOST)


@pytest.fixture
def postgres():
    require_postgres()
    return sa.create_engine(POSTGRES, poolclass=sa.NullPool)


@pytest.mark.postgres
def test_postgres_says_what_it_refuses_and_no_password(postgres, monkeypatch):
    with pytest.raises(SourceError, match="refused") as caught:
        sample_sql("postgresql://me:secret@127.0.0.1:1/test#x", MOST)
    assert "check that the database runs" in caught.value.fix
    assert "secret" not in str(caught.value)
    with postgres.begin() as connection:
        connection.execute(sa.text(f"DROP ROLE IF EXISTS {NOBODY}"))
        connection.execute(sa.text(f"CREATE TABLE IF NOT EXISTS {SECRET} (id int)"))
        connection.execute(sa.text(f"CREATE ROLE {NOBODY} LOGIN"))
    monkeypatch.setenv("HEADRACE_SQL_PASSWORD", "hidden")
    try:
        address = sa.engine.make_url(POSTGRES).set(username=NOBODY, password=None)
        with pytest.raises(SourceError, match="permission denied") as caught:
            sample_sql(f"{address.render_as_string()}#{SECRET}", MOST)
        assert "GRANT SELECT" in caught.value.fix
        assert "hidden" not in str(caught.value)
    finally:
        with postgres.begin() as connection:
            connection.execute(sa.text(f"DROP TABLE {SECRET}"))
            connection.execute(sa.text(f"DROP ROLE {NOBODY}"))


_PAGE = json.dumps({"records": ROWS, "next": "c"})
_BODIES = {
    "/a.csv": ("text/csv", CSV.encode()),
    "/list": ("application/json", json.dumps(ROWS).encode()),
    "/page": ("application/json; charset=utf-8", _PAGE.encode()),
    "/html": ("text/html", b"<html></html>"),
    "/none": ("text/csv", b""),
}


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.partition("?")[0]
        kind, body = _BODIES.get(path, ("text/plain", b"nothing here"))
        self.send_response(200 if path in _BODIES else 404)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_http(server):
    for path in ("/a.csv", "/list", "/page"):
        found = sample_http(f"{server}{path}?api_key=hidden", MOST)
        assert found.table.to_pylist() == ROWS
        assert "hidden" not in found.address
    assert not sample_http(f"{server}/page", MOST).complete, "there is a next page"
    for path, what in (("/gone", "404"), ("/html", "HTML page"), ("/none", "empty")):
        with pytest.raises(SourceError, match=what):
            sample_http(f"{server}{path}", MOST)
    with pytest.raises(SourceError, match="Connection refused"):
        sample_http("http://127.0.0.1:1/x", MOST)

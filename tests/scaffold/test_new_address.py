"""A source that is no CSV file joins a pipeline, and is ingested."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from headrace.cli.app import app
from headrace.contracts import load_contract
from headrace.core.errors import DeclarationError
from headrace.scaffold import new_source_at
from tests.scaffold.test_new import run_in
from tests.sources.databases import Stock

INGEST = """
import json, sys
from headrace.core.home import Home
from headrace.lake.ingest.protocol import ingest
from headrace.lake.ledger.conservation import table_status
from headrace.pipeline import project_pipelines
home = Home.find(sys.argv[1])
(pipeline,) = project_pipelines()
names = sys.argv[2:]
for table in map(pipeline.table, names):
    ingest(table, pipeline.slots_of(table), home)
print(json.dumps([table_status(home, pipeline.table(name)) for name in names]))
"""


@pytest.fixture
def stock(tmp_path):
    made = Stock(f"sqlite:///{tmp_path}/stock.db", "stock")
    for number in range(30):
        made.put(f"s{number:02}", number, number)
    yield made
    made.close()


def objects(folder: Path) -> str:
    """Two days of visits, written an hour ago."""
    for day in ("2024-03-01", "2024-03-02"):
        path = folder / f"dt={day}" / "part-0.parquet"
        path.parent.mkdir(parents=True)
        at = pa.array([f"{day}T{hour:02}:00:00Z" for hour in range(24)])
        visits = [f"{day}-{number}" for number in range(24)]
        pq.write_table(pa.table({"visit": visits, "seen_at": at, "page": ["a", "b"] * 12}), path)
        before = path.stat().st_mtime - 3600
        os.utime(path, (before, before))
    return str(folder)


def test_a_table_and_objects_join_a_pipeline(fresh, stock, tmp_path):
    made = new_source_at(f"{stock.url}#stock", {"kind": "state"}, None, fresh.root, deletions=True)
    assert made.decided["source"].startswith("TableChanges(")
    assert not [path for path in made.written if path.startswith("deliveries/")]
    contract = load_contract(fresh.root / "pipelines/shop/contracts/stock.yaml")
    assert contract.deleted is not None
    assert contract.known_at.expression.expression == '"noticed_at"'
    place = objects(tmp_path / "visits")
    pattern = f"{place}/**/*.parquet"
    new_source_at(pattern, {"table": "visits", "known_after": "10m"}, None, fresh.root)
    entries = (fresh.root / "pipelines/shop/__init__.py").read_text()
    assert 'table("stock", folder, source=sources.stock(), partitioned=False),' in entries
    assert 'table("visits", folder, source=sources.visits()),' in entries
    assert "dt={slot}/part-0.parquet" in (fresh.root / "pipelines/shop/sources.py").read_text()
    done = run_in(fresh.root, "-c", INGEST, str(tmp_path / "home"), "stock", "visits")
    assert done.returncode == 0, done.stderr
    stock_status, visits = json.loads(done.stdout.splitlines()[-1])
    assert stock_status["published"] == 30
    assert visits["published"] == 48
    tests = run_in(fresh.root, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert tests.returncode == 0, tests.stdout + tests.stderr
    with pytest.raises(DeclarationError, match="there is a table 'stock' already"):
        new_source_at(f"{stock.url}#stock", {}, None, fresh.root)


def test_a_pipeline_of_before_is_told_what_to_add(fresh, stock, monkeypatch):
    module = fresh.root / "pipelines/shop/__init__.py"
    module.write_text(module.read_text().replace("source: Source | None = None,", ""))
    monkeypatch.chdir(fresh.root)
    done = CliRunner().invoke(app, ["new", "source", "stock", "--data", f"{stock.url}#stock"])
    assert done.exit_code == 0, done.output
    assert "let table() take" in done.output
    assert "sources.stock()" not in module.read_text()


def test_a_table_without_times_is_read_on_by_comparison(fresh, tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/a.db", poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE shelf (code TEXT PRIMARY KEY, room TEXT)"))
        connection.execute(sa.text("INSERT INTO shelf VALUES ('a', 'x'), ('b', 'y')"))
    address = f"sqlite:///{tmp_path}/a.db#shelf"
    made = new_source_at(address, {"kind": "state"}, None, fresh.root)
    assert made.decided["source"].startswith("TableChanges(")
    contract = load_contract(fresh.root / "pipelines/shop/contracts/shelf.yaml")
    assert contract.event_time.expression.expression == '"noticed_at"'
    assert contract.deleted is None
    done = run_in(fresh.root, "-c", INGEST, str(tmp_path / "home"), "shelf")
    assert json.loads(done.stdout.splitlines()[-1])[0]["published"] == 2, done.stderr

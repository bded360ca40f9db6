"""A project of 0.1.0 opens with the code of today: nothing is lost, no hash and no value moves."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

HERE = Path(__file__).parent
RECORD = json.loads((HERE / "record-0.1.0.json").read_text())


def headrace(project: Path, *arguments: str, code: int = 0, home: Path | None = None) -> str:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")},
        "HEADRACE_CACHE": os.environ["HEADRACE_CACHE"],
        **({"HEADRACE_HOME": str(home)} if home else {}),
    }
    done = subprocess.run(
        [Path(sys.executable).with_name("headrace"), *arguments],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def status(project: Path) -> dict:
    return json.loads(headrace(project, "status", "--json"))


def test_every_row_release_and_action_is_there(archived):
    state = status(archived)
    orders = state["tables"][0]
    assert {name: orders[name] for name in RECORD["accounts"]} == RECORD["accounts"]
    assert {each["ref"]: each["content_hash"] for each in state["releases"]} == RECORD["releases"]
    assert [each["ref"] for each in state["models"]] == RECORD["models"]
    batches = json.loads(headrace(archived, "gate", "ls", "--json"))
    verdicts = {batch["slot"]: [batch["verdict"], batch["state"]] for batch in batches}
    assert RECORD["verdicts"].items() <= verdicts.items()
    log = json.loads(headrace(archived, "gate", "log", "--json"))
    assert [[entry["action"], entry["slot"]] for entry in log] == RECORD["actions"]


def test_two_contents_of_one_known_at_from_before_are_reported(archived):
    """2024-03-20 was delivered twice with five other amounts: nothing is taken out for it."""
    assert status(archived)["tables"][0]["held_twice"] == 5
    assert "5 keys have two versions" in " ".join(headrace(archived, "status").split())
    twice = json.loads(headrace(archived, "gate", "ls", "--json"))
    assert {(b["slot"], b["held_twice"]) for b in twice if b["held_twice"]} == {("2024-03-20", 5)}


def test_the_training_frame_has_the_same_bits(archived, tmp_path):
    out = tmp_path / "frame.parquet"
    headrace(archived, "features", "frame", "--mode", "declared", "--reasons", "--out", str(out))
    assert pq.read_table(out).equals(pq.read_table(HERE / "frame-0.1.0.parquet"))


def test_a_release_is_verified_and_rebuilt(archived):
    headrace(archived, "dataset", "verify", "shop_outlook@1.2.0")
    headrace(archived, "dataset", "rebuild", "shop_outlook@1.2.0", "--check")


def test_a_run_changes_nothing(archived):
    before = status(archived)
    headrace(archived, "run", code=1)  # one day is still blocked
    after = status(archived)
    # The copy's files have other paths and times, so they are looked at again and recognised.
    redelivered = after["tables"][0].pop("redelivered")
    before["tables"][0].pop("redelivered")
    assert redelivered == {"batches": 41, "rows": 312}
    assert after["tables"] == before["tables"]
    assert after["releases"] == before["releases"]
    assert after["models"] == before["models"]


def test_units_and_decimals_change_no_value(archived, tmp_path):
    """Suites are converted and the table is rewritten: no hash, moment, row or verdict moves."""
    before = status(archived)
    lint = json.loads(headrace(archived, "gate", "lint", "--json"))
    assert "convert-units orders" in lint["suites"][0]["warnings"][0]["fix"]
    headrace(archived, "gate", "convert-units")
    suite = (archived / "quality_suites/shop/orders.yaml").read_text()
    assert "{column: amount, min_value: 0, max_value: 134}" in suite
    done = headrace(archived, "maintain", "--rewrite-decimals", "--apply", "--json")
    assert json.loads(done)["tables"][0]["columns"] == ["amount"]

    out = tmp_path / "frame.parquet"
    headrace(archived, "features", "frame", "--mode", "declared", "--reasons", "--out", str(out))
    assert pq.read_table(out).equals(pq.read_table(HERE / "frame-0.1.0.parquet"))
    headrace(archived, "dataset", "rebuild", "shop_outlook@1.2.0", "--check")
    headrace(archived, "run", code=1)  # one day is still blocked
    after = status(archived)
    for state in (before, after):
        state["tables"][0].pop("redelivered")
    assert after["tables"] == before["tables"]
    assert after["releases"] == before["releases"]
    assert after["models"] == before["models"]
    rows = json.loads(headrace(archived, "gate", "rows", "orders", "2024-04-03", "--json"))
    assert 134 < max(row["values"]["amount"] for row in rows) < 1000

"""A gate is light: judging a batch loads no heavy library, and the last plan leaves in silence."""

import subprocess
import sys
from pathlib import Path

import pytest
from gate_batches import conformed, contract, expect, rows, suite

from headrace.gates.engine import _PreparedPlan
from headrace.gates.plan_compiler import plan_for

# pandas is not among them while judging: pyarrow loads it itself when it makes an array.
HEAVY = ("great_expectations", "dagster", "pyiceberg", "sqlalchemy", "requests")
SCRIPT = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from gate_batches import conformed, contract, expect, rows, suite
from headrace.gates import judge
check = expect("column_values_to_be_unique", meta={{"action": "quarantine"}}, column="id")
verdict = judge(suite(check), contract(), conformed(rows((1, "Ulm", 1.0), (1, "Ulm", 2.0))))
assert verdict.quarantined.num_rows == 2
print(*sorted(set({HEAVY!r}) & set(sys.modules)))
"""


IMPORT = f"""
import sys, headrace.gates
print(*sorted({{*{HEAVY!r}, "pandas"}} & set(sys.modules)))
"""


# The file is DuckDB's: where pyarrow makes an array of Python's values, it loads pandas.
FILE = f"""
import sys, tempfile, duckdb
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from gate_batches import contract, expect, suite
from headrace.gates import judge_file
checks = suite(
    expect("column_values_to_be_unique", column="id", meta={{"action": "quarantine"}}),
    expect("column_median_to_be_between", column="miles", min_value=0),
    expect("column_values_to_be_in_set", column="town", value_set=["Ulm"]),
)
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "trips.parquet"
    duckdb.connect().execute(
        "COPY (SELECT unnest([1, 1, 2])::BIGINT AS id, 'Bonn' AS town, 1.0::DOUBLE AS miles,"
        f" now() AS at, now() AS event_time, now() AS known_at) TO '{{path}}'"
    )
    found = judge_file(checks, contract(), path)
assert [r.unexpected_count for r in found.results] == [2, None, 3, 2], found.results
print(*sorted({{*{HEAVY!r}, "pandas"}} & set(sys.modules)))
"""
SECONDS = 1.0  # of a processor: what else the machine does takes none


def test_the_import_is_quick() -> None:
    script = "import headrace.gates, time; print(time.process_time())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert float(done.stdout) < SECONDS


@pytest.mark.parametrize("script", [SCRIPT, IMPORT, FILE], ids=["judge", "import", "file"])
def test_gates_stay_light_and_end_in_silence(script) -> None:
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout.split(), done.stderr) == ([], "")


def test_distinct_counts_need_no_cross_product() -> None:
    """What DuckDB makes of several in one query otherwise, at four times the time."""
    counts = [
        expect("column_unique_value_count_to_be_between", column=name, min_value=1)
        for name in ("id", "town", "miles")
    ]
    batch = conformed(rows((1, "Ulm", 1.0)))
    plan = plan_for(suite(*counts), contract(), batch.table.schema)
    query = f"EXPLAIN {plan.select(', '.join(plan.aggregates))}"
    explained = str(_PreparedPlan(plan).connection.execute(query).fetchall())
    assert "PYTHON_ARROW_SCAN" in explained.upper()
    assert "CROSS" not in explained.upper()

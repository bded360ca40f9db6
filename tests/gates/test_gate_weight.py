"""A gate is light: judging a batch loads no heavy library, and the last plan leaves in silence."""

import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("script", [SCRIPT, IMPORT], ids=["judge", "import"])
def test_gates_stay_light_and_end_in_silence(script) -> None:
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout.split(), done.stderr) == ([], "")

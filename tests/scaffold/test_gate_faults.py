"""`headrace verify faults` in a new project: every fault of its own batches, to the end."""

import json
import os
import subprocess
import sys
from pathlib import Path


def test_faults_are_planted_in_a_new_projects_days(made):
    environment = {n: v for n, v in os.environ.items() if not n.startswith("HEADRACE_HOME")}
    done = subprocess.run(
        [Path(sys.executable).with_name("headrace"), "verify", "faults", "--every", "15", "--json"],
        cwd=made.root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {fault["table"] for fault in told["faults"]} == {"orders"}
    assert sum(fault["detected"] for fault in told["faults"]) > 0
    (clean,) = told["clean"]
    assert clean["block_days"] == 0

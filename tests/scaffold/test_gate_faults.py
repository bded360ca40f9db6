"""`headrace verify own-faults` in a new project: every fault of its own batches, to the end."""

import json
import os
import subprocess
import sys
from pathlib import Path


def test_faults_are_planted_in_a_new_projects_days(made):
    environment = {n: v for n, v in os.environ.items() if not n.startswith("HEADRACE_HOME")}
    command = [Path(sys.executable).with_name("headrace"), "verify", "own-faults"]
    done = subprocess.run(
        [*command, "--every", "15", "--json"],
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
    for fault in told["faults"]:
        assert (fault["own"], fault["left_out"]) == (True, False)
        assert fault["scope"] in {"batch", "part"}
        assert fault["source"]
        assert fault["headline_right"] + fault["headline_wrong"] <= fault["injected"]
        assert max(fault["detected"], fault["injected"]) <= fault["eligible"]
    assert {total["scope"] for total in told["totals"]} == {"batch", "part"}
    (clean,) = told["clean"]
    assert clean["block_days"] == 0

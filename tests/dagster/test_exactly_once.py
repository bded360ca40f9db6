"""A real daemon, killed at random moments while triggers come: each is retrained exactly once."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest

from headrace.core.home import Home
from headrace.dagster.instance import open_instance, prepare
from headrace.dagster.sensors.retraining_trigger import TAG
from headrace.monitoring import Decision, DecisionLedger, Entry, Evidence, Window

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def trigger(n: int) -> Entry:
    window = Window(7 * n, 7 * n + 7)
    evidence = (Evidence("concept", window, "ranking", n + 0.5, 0.1, "alarm", "Moved."),)
    return Entry(
        "tiny", window, Decision("retrain", ("Why.",), f"trigger-{n:03}"), evidence, "p", n
    )


class Daemon:
    """`dagster-daemon run` as a process group of its own, with its code server and its runs."""

    def __init__(self, home: Home, log: Path) -> None:
        self.log = log.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dagster._daemon", "run", "-f", str(HERE / "triggered.py")],
            env={
                **os.environ,
                "DAGSTER_HOME": str(home.dagster),
                "HEADRACE_HOME": str(home.root),
                "PYTHONPATH": f"{ROOT / 'src'}:{HERE}",
            },
            cwd=home.root,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )

    def kill(self, *, all_of_it: bool) -> None:
        """The daemon alone; or as if the machine had died: code server and runs, too."""
        if all_of_it:
            os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.log.close()


def ended(home: Home) -> set[str]:
    return {one.trigger_id for one in DecisionLedger(home).steps("tiny") if one.step == "kept"}


def rehearse(home: Home, count: int, chance: random.Random) -> tuple[int, list[dg.DagsterRun]]:
    """Triggers come, daemons die; how many died, and all runs in the end."""
    ledger = DecisionLedger(home)
    wanted = {f"trigger-{n:03}" for n in range(count)}

    def write() -> None:
        for n in range(count):
            ledger.append([trigger(n)])
            time.sleep(chance.uniform(0, 3))

    writer = threading.Thread(target=write)
    writer.start()
    killed = 0
    while writer.is_alive() or ended(home) != wanted:
        daemon = Daemon(home, home.root / "daemon.log")
        patience = chance.uniform(4, 40) if writer.is_alive() else 240.0
        until = time.monotonic() + patience
        while time.monotonic() < until and (writer.is_alive() or ended(home) != wanted):
            time.sleep(0.1)
        daemon.kill(all_of_it=chance.random() < 0.3)
        killed += 1
    writer.join()
    with open_instance(home) as instance:
        return killed, list(instance.get_runs())


def check(home: Home, count: int, runs: list[dg.DagsterRun]) -> None:
    wanted = {f"trigger-{n:03}" for n in range(count)}
    ledger = DecisionLedger(home)
    steps = Counter((one.trigger_id, one.step) for one in ledger.steps("tiny"))
    assert steps == {(one, step): 1 for one in wanted for step in ("started", "kept")}
    keys = Counter(run.tags["dagster/run_key"] for run in runs)
    assert set(keys.values()) == {1}
    assert wanted <= set(keys)
    # A second run is of a trigger whose first was dead, or so slow that it passed for dead: then
    # one of the two has done the work, and the other found it done.
    worked = {one.detail["run"] for one in ledger.steps("tiny") if one.step == "started"}
    assert len(worked) == count
    assert worked <= {run.run_id for run in runs}
    assert {run.tags[TAG] for run in runs if run.run_id in worked} == wanted


@pytest.mark.slow
def test_a_hundred_triggers_under_a_daemon_that_is_killed(tmp_path, databases):
    home = Home(tmp_path / "home")
    shutil.copytree(databases, home.dagster)
    prepare(home, tmp_path)
    count = int(os.environ.get("TRIGGERS", "100"))
    killed, runs = rehearse(home, count, random.Random(7))
    (home.root / "told.txt").write_text(f"{count} triggers, {killed} kills, {len(runs)} runs\n")
    check(home, count, runs)

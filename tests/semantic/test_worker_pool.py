"""Workers report their progress, and end with the process that started them."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headrace.core.progress import Tick, listening, report
from headrace.verification.worker_pool import in_processes

SCRIPT = """
import os, time
from headrace.core.progress import listening, report
from headrace.verification.worker_pool import in_processes

def work(task):
    report("work", task, 2, str(os.getpid()))
    time.sleep(60)

if __name__ == "__main__":
    with listening(lambda tick: print(tick.note, flush=True)):
        in_processes(work, [1, 2], 2)
"""


def square(number):
    report("square", number, 3, "x")
    if number > 9:
        raise ValueError(f"{number} is too large")
    return number * number


def runs(process_id):
    """Return True if the process exists; one that only waits to be reaped has ended."""
    try:
        state = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


def test_outcomes_are_in_the_order_of_the_tasks_and_progress_is_passed_on():
    ticks = []
    with listening(ticks.append):
        assert in_processes(square, [3, 1, 2], 2) == [9, 1, 4]
    assert sorted(ticks, key=lambda tick: tick.finished) == [
        Tick("square", number, 3, "x") for number in (1, 2, 3)
    ]


def test_an_error_of_a_worker_is_raised():
    with pytest.raises(ValueError, match="10 is too large"):
        in_processes(square, [1, 10], 2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_command(tmp_path, number):
    script = tmp_path / "work.py"
    script.write_text(SCRIPT)
    command = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    workers = [int(command.stdout.readline()) for _ in range(2)]
    assert all(runs(worker) for worker in workers)
    command.send_signal(number)
    command.wait(20)
    command.stdout.close()
    assert command.returncode != 0
    limit = time.monotonic() + 10
    while any(runs(worker) for worker in workers) and time.monotonic() < limit:
        time.sleep(0.05)
    assert not any(runs(worker) for worker in workers)

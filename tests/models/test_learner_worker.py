"""Failures of a team's code in a real worker process: each is an error that names its cause."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from headrace.core.errors import LearnerError
from headrace.models.learners import Trainer, WorkerLimits
from headrace.models.learners.bundle import _WORKERS, PARTS, WARM, stop_workers
from headrace.models.learners.worker import Worker
from tests.models.learner_project import MEANS, constant, inputs, trained, write

JUNK = (
    'any(os.write(fd, b"junk" * 9) for fd in range(3, 64) if Path(f"/proc/self/fd/{fd}").exists())'
)


def refusal(call, *arguments):
    with pytest.raises(LearnerError) as caught:
        call(*arguments)
    assert "late" in caught.value.where
    assert "rates:train" in caught.value.where
    assert caught.value.fix
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "limits", "text"),
    [
        ("os._exit(3)", {}, "exited with code 3 in training"),
        ("os.kill(os.getpid(), signal.SIGKILL)", {}, "was killed (SIGKILL) in training"),
        ("os.abort()", {}, "crashed (SIGABRT) in training"),
        ("time.sleep(9999)", {"train_seconds": 1}, "no answer to training within 1 s"),
        ("bytearray(8 << 30)", {"memory": 2}, "ran out of memory in training (limit: 2 GiB)"),
        ("np.ones(1 << 30)", {"memory": 2}, "ran out of memory in training (limit: 2 GiB)"),
        ("raise ValueError('no luck')", {}, "raised ValueError in training: no luck"),
        ("sys.exit(0)", {}, "raised SystemExit in training"),
        ("(folder / 'rate.json').unlink()", {}, "wrote no file"),
        ("(folder / 'link').symlink_to('rate.json')", {}, "link is a symbolic link"),
        ("os.closerange(3, 64)", {}, "in training"),
        (JUNK, {}, "gave no valid answer to training"),
    ],
)
def test_a_training_that_fails_is_an_error(project, line, limits, text):
    learner = Trainer(constant(project, train=line), limits=WorkerLimits(**limits))
    if "symbolic" in text:
        with pytest.raises(LearnerError, match=text):
            trained(project / "bundle", learner)
        return
    assert text in refusal(trained, project / "bundle", learner)


@pytest.mark.parametrize(
    ("line", "limits", "text"),
    [
        ("os._exit(3)", {}, "exited with code 3 in prediction"),
        ("time.sleep(9999)", {"predict_seconds": 1}, "no answer to prediction within 1 s"),
        ("raise KeyError('speed')", {}, "raised KeyError in prediction: 'speed'"),
        ("return [0.5]", {}, "returned 1 values for 400 rows"),
        ("return np.full(rows.num_rows * 9, 0.5)", {}, "returned 3600 values for 400 rows"),
        ("return np.ones(rows.num_rows * 9999)", {}, "gave no valid answer to prediction"),
        ("return np.full(rows.num_rows, np.nan)", {}, "nan for row 0, which is not a probability"),
        ("return pa.nulls(rows.num_rows, pa.float64())", {}, "nan for row 0"),
        ("return np.full(rows.num_rows, 1.5)", {}, "1.5 for row 0, which is not a probability"),
        ("return np.full((rows.num_rows, 2), 0.5)", {}, "2 values for each row, not 1"),
        ("return ['a'] * rows.num_rows", {}, "`predict` returned a list of <U1"),
        ("return None", {}, "`predict` returned a NoneType of object"),
    ],
)
def test_a_wrong_prediction_is_an_error(project, line, limits, text):
    learner = Trainer(constant(project, predict=line), limits=WorkerLimits(**limits))
    stored = trained(project / "bundle", learner)
    assert text in refusal(stored.predict, "model", inputs())


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("return None", "rates.load returned no object with `predict`"),
        ("time.sleep(9999)", "no answer to loading of the model within 1 s"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_an_error(project, line, text):
    stored = trained(project / "bundle", Trainer(constant(project, load=line)))
    limits = stored.folder / "limits.json"
    limits.write_text(json.dumps({**json.loads(limits.read_text()), "start_seconds": 1}))
    assert text in refusal(stored.predict, "model", inputs())


def test_an_error_has_the_last_lines_that_the_code_printed(project):
    line = "print('epoch 1'); print('the disk is full', file=sys.stderr); os._exit(1)"
    text = refusal(trained, project / "bundle", Trainer(constant(project, train=line)))
    assert "  | epoch 1" in text
    assert "  | the disk is full" in text


def test_an_exception_has_its_place_in_the_code(project):
    text = refusal(trained, project / "bundle", Trainer(constant(project, train="1 / 0")))
    assert "ZeroDivisionError" in text
    assert "rates.py" in text
    assert "1 / 0" in text


def test_printed_text_does_not_disturb_an_answer(project):
    line = "print('x' * (1 << 22)); sys.stdout.buffer.write(bytes(1 << 20)); os.write(1, b'raw')"
    stored = trained(project / "bundle", Trainer(constant(project, train=line, predict=line)))
    assert stored.predict("model", inputs()).tolist() == [0.5] * 400


def test_a_predictor_continues_after_a_crash_and_after_an_error(project):
    line = "first = rows['wind'][0].as_py(); first == 1.25 and os._exit(1); 1 / (first != 2.5)"
    stored = trained(project / "bundle", Trainer(constant(project, predict=line)))
    rows = inputs()
    assert stored.predict("model", rows).tolist() == [0.5] * 400
    for first in (1.25, 2.5):
        bad = rows.slice(0, 1).set_column(0, "wind", [[first]])
        refusal(stored.predict, "model", bad)
        assert stored.predict("model", rows).tolist() == [0.5] * 400


def test_a_worker_that_was_killed_between_two_predictions_starts_again(project):
    stored = trained(project / "bundle", Trainer(constant(project)))
    stored.predict("model", inputs())
    worker = stored._worker()
    before = worker.pid
    os.kill(before, signal.SIGKILL)
    os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
    assert stored.predict("model", inputs()).tolist() == [0.5] * 400
    assert worker.pid != before


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_until_gone(pid):
    while not is_gone(pid):
        time.sleep(0.05)


@pytest.mark.parametrize("end", ["time.sleep(9999)", "os._exit(1)", "pass"])
def test_processes_that_the_code_started_end_with_the_worker(project, end):
    child = "Path(keywords['params_file']).write_text(str(subprocess.Popen(['sleep', '9999']).pid))"
    file = project.parent / "pid"
    child = child.replace("keywords['params_file']", repr(str(file)))
    learner = Trainer(
        constant(project, train=f"{child}; {end}"), limits=WorkerLimits(train_seconds=2)
    )
    if end == "pass":
        trained(project / "bundle", learner)
    else:
        refusal(trained, project / "bundle", learner)
    wait_until_gone(int(file.read_text()))


def test_a_worker_ends_with_a_parent_that_was_killed(project):
    stored = trained(project / "bundle", Trainer(constant(project, predict="time.sleep(9999)")))
    script = f"""
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from headrace.models.learners.bundle import StoredLearner
        from tests.models.learner_project import inputs
        stored = StoredLearner.open("late", Path({str(stored.folder)!r}))
        stored.warm()
        print(stored._worker().pid, flush=True)
        stored.predict("model", inputs())
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
    )
    pid = int(parent.stdout.readline())
    assert not is_gone(pid)
    parent.kill()
    parent.communicate()
    wait_until_gone(pid)


def test_ctrl_c_ends_the_worker(project):
    stored = trained(project / "bundle", Trainer(constant(project, predict="time.sleep(9999)")))
    stored.warm()
    worker = stored._worker()
    pid = worker.pid
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        stored.predict("model", inputs())
    assert worker.pid is None
    wait_until_gone(pid)


def test_an_idle_worker_ends_and_starts_again(project):
    stored = trained(project / "bundle", Trainer(constant(project)))
    worker = Worker(stored._worker().task, WorkerLimits(), idle=0.2)
    worker.ping()
    wait_until_gone(worker.pid)
    assert not worker._folder.exists()
    assert worker.predict("model", inputs()).num_rows == 400
    worker.stop()


def test_a_request_to_a_worker_that_ends_as_idle_is_sent_again(project):
    """The check that the process is alive comes too early: it has just decided to end."""
    stored = trained(project / "bundle", Trainer(constant(project)))
    worker = Worker(stored._worker().task, WorkerLimits(), idle=0.2)
    worker.load("model")
    before = worker.pid
    os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
    worker._is_alive = lambda: worker.pid is not None
    assert worker.predict("model", inputs()).num_rows == 400
    assert worker.pid != before
    worker.stop()


def test_two_models_predict_at_once(project):
    """Two modules of the same name, and threads that take turns."""
    models = []
    for rate in ("0.25", "0.75"):
        entry = constant(project, predict=f"return np.full(rows.num_rows, {rate})")
        models.append((float(rate), trained(project / rate, Trainer(entry), model=f"m{rate}")))
    rows, wrong = inputs(), []

    def work(rate, stored):
        answers = [set(stored.predict("model", rows).tolist()) for _ in range(40)]
        wrong.extend(answer for answer in answers if answer != {rate})

    threads = [threading.Thread(target=work, args=pair) for pair in models * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_more_models_than_warm_workers(project):
    for rate in range(6):
        entry = constant(project, predict=f"return np.full(rows.num_rows, 0.{rate})")
        stored = trained(project / str(rate), Trainer(entry))
        assert stored.predict("model", inputs())[0] == rate / 10
    assert len(_WORKERS) == WARM
    stop_workers()
    assert not _WORKERS


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_child_process_uses_a_worker_of_its_own(project):
    stored = trained(project / "bundle", Trainer(constant(project)))
    stored.predict("model", inputs())
    before = stored._worker().pid
    if not (child := os.fork()):
        same = stored.predict("model", inputs())[0] == 0.5
        other = stored._worker().pid != before
        stop_workers()
        os._exit(0 if same and other else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert stored.predict("model", inputs())[0] == 0.5
    assert stored._worker().pid == before


def test_the_environment_holds_no_secrets(project, monkeypatch):
    monkeypatch.setenv("HEADRACE_SQL_PASSWORD", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("WEIGHTS", "/weights")
    line = "(folder / 'env.json').write_text(json.dumps([dict(os.environ), sys.path, os.getcwd()]))"
    learner = Trainer(
        constant(project, train=line), threads=3, limits=WorkerLimits(environment=("WEIGHTS",))
    )
    stored = trained(project / "bundle", learner)
    environment, path, folder = json.loads((stored.folder / "model" / "env.json").read_text())
    assert "secret" not in environment.values()
    assert environment["WEIGHTS"] == "/weights"
    assert environment["OMP_NUM_THREADS"] == environment["OPENBLAS_NUM_THREADS"] == "3"
    assert Path(folder) not in {project, *project.parents}
    assert not Path(folder).exists(), "the folder of a worker that ended was removed"
    assert str(project) not in path
    assert os.environ.get("HOME") != environment["HOME"]


def test_a_team_reads_the_keywords_that_it_declares(project):
    write(project / "means.py", MEANS)
    stored = trained(project / "bundle", Trainer("means:train"), parts=PARTS)
    first = stored.predict("model", inputs())
    assert len(set(first.tolist())) == 4
    assert np.array_equal(first, stored.predict("baseline", inputs()))

"""Warm worker process: started when it is first needed, restarted after a crash.

The process gets its own temporary folder, session and environment. All its failures are raised as
`LearnerError`; this process never waits beyond the deadline of an operation.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from headrace.core.errors import LearnerError
from headrace.models.learners.declaration import WorkerLimits
from headrace.models.learners.installed import package_folders
from headrace.models.learners.worker_process import LENGTHS
from headrace.models.learners.worker_task import WorkerTask, environment

IDLE = 600.0  # seconds without a request after which the process exits
_TICK = 0.1  # seconds between checks of the deadline and of the process
_HEADER_LIMIT, _SLACK = 1 << 20, 1 << 16
_SCRIPT = Path(__file__).with_name("worker_process.py")
_PACKAGE = Path(__file__).parents[2]
T = TypeVar("T")


class _IdleError(Exception):
    """The process had ended before it read a request, because it was idle."""


class Worker:
    """Process that runs one `WorkerTask`; it answers one call at a time."""

    def __init__(self, task: WorkerTask, limits: WorkerLimits, idle: float = IDLE) -> None:
        self.task, self.limits, self._idle = task, limits, idle
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        self._lines: deque[str] = deque(maxlen=40)
        self._loaded: set[str] = set()

    @property
    def pid(self) -> int | None:
        """Process id, or None if there is no process."""
        return None if self._process is None or self._owner != os.getpid() else self._process.pid

    @property
    def is_busy(self) -> bool:
        return self._lock.locked()

    def ping(self) -> None:
        """Start the process if needed, and wait for its answer."""
        self.call({"op": "ping"}, seconds=self.limits.start_seconds, doing="its start")

    def train(self, part: str, rows: pa.Table, valid: pa.Table, label: str) -> None:
        """Train `part` on `rows`; `valid` has the same columns."""
        header = {"op": "train", "part": part, "rows": rows.num_rows, "label": label}
        both = pa.concat_tables([rows, valid])
        self.call(header, both, seconds=self.limits.train_seconds, doing="training")

    def predict(self, part: str, rows: pa.Table) -> pa.Table:
        """Return the predictions of `part`: one float64 column, or one for each class."""
        header = {"op": "predict", "part": part}

        def load_and_predict() -> tuple[dict[str, Any], bytes]:
            self._load(part)
            return self._exchange(header, rows, self.limits.predict_seconds, "prediction")

        answer, body = self._in_turn(load_and_predict)
        return self._predictions(answer, body)

    def load(self, part: str) -> None:
        """Start the process if needed, and load `part` unless it is loaded."""
        self._in_turn(lambda: self._load(part))

    def _load(self, part: str) -> None:
        if not self._is_alive():
            self._start()
        if part not in self._loaded:
            load = {"op": "load", "part": part}
            self._exchange(load, None, self.limits.start_seconds, "loading of the model")
            self._loaded.add(part)

    def call(
        self,
        header: Mapping[str, Any],
        rows: pa.Table | None = None,
        *,
        seconds: float,
        doing: str,
    ) -> dict[str, Any]:
        """Send a message and return the answer; start the process first if needed."""

        def start_and_exchange() -> dict[str, Any]:
            if not self._is_alive():
                self._start()
            return self._exchange(header, rows, seconds, doing)[0]

        return self._in_turn(start_and_exchange)

    def _in_turn(self, steps: Callable[[], T]) -> T:
        """Return what `steps` return; repeat them if the process had just ended as idle."""
        with self._lock:
            while True:
                try:
                    return steps()
                except _IdleError:
                    continue

    def stop(self) -> None:
        """Kill the process and all processes that it started, and remove its folder."""
        process, self._process = self._process, None
        if process is None:
            return
        if self._owner == os.getpid():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            self._reader.join(1.0)
            shutil.rmtree(self._folder, ignore_errors=True)
        self._channel.close()

    def _is_alive(self) -> bool:
        if self._process is None or self._owner != os.getpid():
            return False
        return self._process.poll() is None

    def _start(self) -> None:
        self.stop()
        self._owner = os.getpid()
        self._lines = deque(maxlen=40)
        self._loaded = set()
        self._folder = Path(tempfile.mkdtemp(prefix="headrace-worker-"))
        channel, remote = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-s", "-B", str(_SCRIPT), str(remote.fileno())],
                cwd=self._folder,
                env=environment(self.task, self.limits, self._folder),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(remote.fileno(),),
                start_new_session=True,
            )
        except OSError as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            channel.close()
            raise LearnerError(
                f"the worker process cannot start: {error.strerror}",
                where=self.task.where,
                fix="check the memory and the number of processes of the machine",
            ) from error
        finally:
            remote.close()
        channel.settimeout(_TICK)
        self._channel = channel
        self._reader = threading.Thread(
            target=_collect, args=(self._process, self._lines), daemon=True
        )
        self._reader.start()
        self._exchange(self._setup(), None, self.limits.start_seconds, "its start")

    def _setup(self) -> dict[str, Any]:
        task = self.task
        packages = package_folders()
        model_folders = (self._folder, task.source, *task.folders.values())
        checkout = [folder.resolve() for folder in task.checkout]
        exempt = [
            path
            for path in (
                Path(folder).resolve()
                for folder in (*packages, sys.prefix, str(_PACKAGE), *map(str, model_folders))
            )
            if set(checkout) & set(path.parents)
        ]
        return {
            "kind": task.kind,
            "entry": task.entry,
            "params": dict(task.params),
            "trusted": list(task.trusted),
            "seed": task.seed,
            "task": task.task,
            "classes": list(task.classes),
            "source": str(task.source),
            "folders": {part: str(folder) for part, folder in task.folders.items()},
            "path": [*packages, str(_PACKAGE.parent)],
            "checkout": list(map(str, checkout)),
            "allowed": list(map(str, exempt)),
            "folder": str(self._folder),
            "estimators": str(_SCRIPT.with_name("estimators.py")),
            "memory": self.limits.memory,
            "idle": self._idle,
        }

    def _exchange(
        self, header: Mapping[str, Any], rows: pa.Table | None, seconds: float, doing: str
    ) -> tuple[dict[str, Any], bytes]:
        """Send a message and read the answer. Raises LearnerError; then the process is stopped."""
        deadline = time.monotonic() + seconds
        largest = 0 if rows is None else 8 * rows.num_rows * (len(self.task.classes) + 2)
        try:
            with suppress(ConnectionError):  # a process that ended may have left a last message
                self._send(header, rows, deadline)
            answer, body = self._read_answer(2 * (largest + _SLACK), deadline)
        except TimeoutError:
            self.stop()
            raise self._error(
                f"the worker process gave no answer to {doing} within {seconds:g} s and was ended",
                "make it faster, or declare a longer deadline: "
                f"WorkerLimits({_FIELDS.get(doing, 'start')}_seconds=...)",
            ) from None
        except (OSError, ValueError) as error:
            raise self._ended(doing, error) from None
        except BaseException:  # Ctrl-C too: the answer to come belongs to no later call
            self.stop()
            raise
        if "idle" in answer:
            self.stop()
            raise _IdleError
        if "ok" not in answer:
            raise self._refused(answer, doing)
        return answer, body

    def _send(self, header: Mapping[str, Any], rows: pa.Table | None, deadline: float) -> None:
        text = json.dumps(header).encode()
        body = b"" if rows is None else _to_stream(rows)
        for part in (LENGTHS.pack(len(text), len(body)) + text, body):
            view = memoryview(part)
            while view:
                try:
                    view = view[self._channel.send(view[: 1 << 20]) :]
                except TimeoutError:
                    self._check(deadline)

    def _receive(self, size: int, deadline: float) -> bytes:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            try:
                count = self._channel.recv_into(view)
            except TimeoutError:
                self._check(deadline)
                continue
            if not count:
                raise ConnectionError
            view = view[count:]
        return bytes(data)

    def _read_answer(self, largest: int, deadline: float) -> tuple[dict[str, Any], bytes]:
        size, body_size = LENGTHS.unpack(self._receive(LENGTHS.size, deadline))
        if size > _HEADER_LIMIT or body_size > largest:
            raise ValueError(f"{size + body_size:,} bytes")
        answer: dict[str, Any] = json.loads(self._receive(size, deadline))
        return answer, self._receive(body_size, deadline)

    def _check(self, deadline: float) -> None:
        """Raise TimeoutError after the deadline, ConnectionError after the process has ended."""
        if self._process is None or self._process.poll() is not None:
            raise ConnectionError
        if time.monotonic() > deadline:
            raise TimeoutError

    def _ended(self, doing: str, error: Exception) -> LearnerError:
        process = self._process
        code = None
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(1.0)
        self.stop()
        if code is None:
            what = f"the worker process gave no valid answer to {doing} ({error})"
            fix = "return one value for each row, and leave the file descriptors of others alone"
        elif code == -signal.SIGKILL:
            what = f"the worker process was killed (SIGKILL) in {doing}"
            fix = "if the machine ran out of memory, use less of it or fewer rows; then run again"
        elif code < 0:
            what = f"the worker process crashed ({signal.Signals(-code).name}) in {doing}"
            fix = "find the library that crashed in the output above, and upgrade or replace it"
        else:
            what = f"the worker process exited with code {code} in {doing}"
            fix = "raise an exception instead of ending the process"
        return self._error(what, fix)

    def _refused(self, answer: Mapping[str, Any], doing: str) -> LearnerError:
        if "unusable" in answer:
            return LearnerError(answer["unusable"], where=self.task.where, fix=answer["fix"])
        if "memory" in answer:
            limit = self.limits.memory
            bound = "" if limit is None else f" (limit: {limit:g} GiB)"
            self.stop()
            return self._error(
                f"the worker process ran out of memory in {doing}{bound}",
                "use less memory or fewer rows, or declare a higher WorkerLimits(memory=...)",
            )
        fix = "correct the code"
        if answer["missing"]:
            fix = (
                f"install {answer['missing']}, or copy it into the bundle: "
                f'source=("{self.task.module}", "{answer["missing"]}")'
            )
        elif answer["error"] in {"PermissionError", "FileNotFoundError", "NotADirectoryError"}:
            fix = (
                "use only the rows, the folder of the model and text files beside the module, "
                "through Path(__file__).parent"
            )
        trace = "".join(f"\n  | {line}" for line in answer["trace"])
        return LearnerError(
            f"{self.task.entry} raised {answer['error']} in {doing}: {answer['message']}{trace}",
            where=self.task.where,
            fix=fix,
        )

    def _error(self, what: str, fix: str) -> LearnerError:
        lines = list(self._lines)[-16:]
        output = "".join(f"\n  | {line}" for line in lines) if lines else "; it printed nothing"
        return LearnerError(f"{what}{output}", where=self.task.where, fix=fix)

    def _predictions(self, answer: Mapping[str, Any], body: bytes) -> pa.Table:
        try:
            with pa.ipc.open_stream(pa.py_buffer(body)) as reader:
                table = reader.read_all()
        except (pa.ArrowException, OSError) as error:
            raise self._error(
                f"the worker process answered {answer} without predictions: {error}",
                "do not write to file descriptors that the code did not open",
            ) from error
        return table


_FIELDS = {"training": "train", "prediction": "predict"}


def _to_stream(rows: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return sink.getvalue()


def _collect(process: subprocess.Popen[bytes], lines: deque[str]) -> None:
    """Keep the last lines that the process prints, so that it never waits for a reader."""
    if process.stdout is None:
        return
    rest = b""
    with process.stdout as stream:
        while block := os.read(stream.fileno(), 1 << 16):
            *complete, rest = (rest + block).replace(b"\r", b"\n").split(b"\n")
            lines.extend(line.decode(errors="replace")[:300] for line in complete if line.strip())
            rest = rest[-4096:]
    if rest.strip():
        lines.append(rest.decode(errors="replace")[:300])

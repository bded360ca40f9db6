"""Worker process that runs a team's training and prediction code; `worker.Worker` starts it.

The file is run as a script, by its path, and imports nothing of Headrace: the process starts fast,
and only the team's code decides which libraries it loads. Messages go through a socket, so printed
text cannot disturb them. A message is a header (a JSON object) and a body (an Arrow IPC stream, or
nothing), after their lengths in 4 and 8 bytes, big-endian. The first message is the set-up; each
later one is answered before the next is read.
"""

import importlib
import importlib.util
import inspect
import json
import os
import random
import shutil
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

LENGTHS = struct.Struct(">IQ")
_LIBRARY_FINDERS = ("BuiltinImporter", "FrozenImporter", "PathFinder", "DistutilsMetaFinder")


class UnusableError(Exception):
    """Error in the team's declaration or answer, with the edit that fixes it."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what, self.fix = what, fix


def main() -> None:
    channel = socket.socket(fileno=int(sys.argv[1]))
    setup, _ = _receive(channel)
    watch = (os.getppid(), setup["folder"])
    threading.Thread(target=_end_with_parent, args=watch, daemon=True).start()
    _prepare(setup)
    _send(channel, {"ok": True})
    predictors: dict[str, Any] = {}
    while True:
        channel.settimeout(setup["idle"])
        try:
            first = channel.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            channel.settimeout(None)
            _send(channel, {"idle": True})  # a request that is on its way was not read
            break
        if not first:
            break
        channel.settimeout(None)
        header, body = _receive(channel)
        answer, columns = _handle(setup, header, body, predictors)
        sys.stdout.flush()
        sys.stderr.flush()
        _send(channel, answer, columns)
    _end(setup["folder"])


def _prepare(setup: Mapping[str, Any]) -> None:
    """Replace the import path, set the memory limit and guard the checkout."""
    sys.path[:] = [setup["source"], *setup["path"]]
    sys.meta_path[:] = [
        finder
        for finder in sys.meta_path
        if getattr(finder, "__name__", type(finder).__name__) in _LIBRARY_FINDERS
    ]
    importlib.invalidate_caches()
    if setup["memory"] is not None:
        import resource

        limit = int(setup["memory"] * (1 << 30))
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    sys.addaudithook(_guard(setup["checkout"], setup["allowed"]))


def _guard(
    checkout: Sequence[str], allowed: Sequence[str]
) -> Callable[[str, tuple[Any, ...]], None]:
    """Return an audit hook that refuses to open files of the checkout; not a sandbox."""
    refused = tuple(f"{os.path.realpath(folder)}/" for folder in checkout)
    exempt = tuple(f"{os.path.realpath(folder)}/" for folder in allowed)

    def check(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in {"open", "os.listdir", "os.scandir", "os.chdir"} or not arguments:
            return
        if not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        path = f"{os.path.realpath(os.fsdecode(arguments[0]))}/"
        if path.startswith(refused) and not path.startswith(exempt):
            message = "it is a file of the checkout, and a bundle must not depend on the checkout"
            raise PermissionError(13, message, path[:-1])

    return check


def _handle(
    setup: Mapping[str, Any], header: Mapping[str, Any], body: bytes, predictors: dict[str, Any]
) -> tuple[dict[str, Any], bytes]:
    """Return the answer to a message; no error of the team's code leaves this function."""
    try:
        return {"ok": True}, _answer(setup, header, body, predictors)
    except UnusableError as error:
        return {"unusable": error.what, "fix": error.fix}, b""
    except MemoryError as error:
        traceback.print_exc()
        return {"memory": str(error)}, b""
    except BaseException as error:  # noqa: BLE001 - SystemExit too: the parent gets every error
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
            frames = frames.tb_next
        trace = traceback.format_exception(error.with_traceback(frames))
        sys.stderr.writelines(trace)
        lines = [line for line in "".join(trace[1:]).splitlines() if line.strip(" ~^")]
        return {
            "error": type(error).__name__,
            "message": str(error)[:2000],
            "missing": getattr(error, "name", None) if isinstance(error, ImportError) else None,
            "trace": [line[:300] for line in lines[-16:]],
        }, b""


def _answer(
    setup: Mapping[str, Any], header: Mapping[str, Any], body: bytes, predictors: dict[str, Any]
) -> bytes:
    """Do what the message asks; return the predictions if it asks for them."""
    if header["op"] == "ping":
        return b""
    runner, part = _runner(setup), header["part"]
    if header["op"] == "train":
        _train(setup, runner, header, body)
        return b""
    if part not in predictors:
        _seed(setup["seed"])
        predictors[part] = runner.load(setup, Path(setup["folders"][part]))
    return _predict(setup, predictors[part], body) if header["op"] == "predict" else b""


def _runner(setup: Mapping[str, Any]) -> Any:  # noqa: ANN401 - this module, or `estimators`
    if setup["kind"] != "sklearn":
        return _TeamCode
    name = "headrace_estimators"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, setup["estimators"])
        if spec is None or spec.loader is None:
            raise ImportError(setup["estimators"])
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


class _TeamCode:
    """Training function and predictor of the team's module."""

    @staticmethod
    def train(setup: Mapping[str, Any], folder: Path, rows: Any, valid: Any, label: str) -> None:  # noqa: ANN401
        function = resolve(setup["entry"])
        _seed(setup["seed"])  # again: the module may have loaded torch
        offered = {
            "valid": valid,
            "seed": setup["seed"],
            "task": setup["task"],
            "classes": tuple(setup["classes"]),
        }
        function(rows, label, folder, **accepted(function, offered), **setup["params"])

    @staticmethod
    def load(setup: Mapping[str, Any], folder: Path) -> Callable[[Any], Any]:
        module = importlib.import_module(setup["entry"].partition(":")[0])
        if not callable(load := getattr(module, "load", None)):
            raise UnusableError(
                f"{module.__name__} has no function `load`",
                "define load(folder) -> object with predict(rows)",
            )
        _seed(setup["seed"])
        if not callable(predict := getattr(load(folder), "predict", None)):
            raise UnusableError(
                f"{module.__name__}.load returned no object with `predict`",
                "define load(folder) -> object with predict(rows)",
            )
        return predict  # type: ignore[no-any-return]


def resolve(entry: str) -> Callable[..., Any]:
    """Import the module of "module:function" and return the function."""
    name, _, path = entry.partition(":")
    value: Any = importlib.import_module(name)
    for part in path.split("."):
        if not hasattr(value, part):
            raise UnusableError(f"{name} has no {path!r}", f"define {path} in {name}")
        value = getattr(value, part)
    if not callable(value):
        raise UnusableError(f"{entry} is not a function", f"define {path} with `def`")
    return value  # type: ignore[no-any-return]


def accepted(function: Callable[..., Any], offered: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `offered` keyword arguments that the function declares."""
    parameters = inspect.signature(function).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return dict(offered)
    return {name: value for name, value in offered.items() if name in parameters}


def _train(setup: Mapping[str, Any], runner: Any, header: Mapping[str, Any], body: bytes) -> None:  # noqa: ANN401
    table = _table(body)
    rows, valid = table.slice(0, header["rows"]), table.slice(header["rows"])
    _seed(setup["seed"])
    runner.train(setup, Path(setup["folders"][header["part"]]), rows, valid, header["label"])


def _predict(setup: Mapping[str, Any], predict: Callable[[Any], Any], body: bytes) -> bytes:
    import numpy as np
    import pyarrow as pa

    _seed(setup["seed"])  # an answer depends on its rows only, not on earlier answers
    answer = predict(_table(body))
    values = np.asarray(answer)
    if isinstance(answer, pa.Array | pa.ChunkedArray) and answer.null_count:
        values = np.asarray(answer.cast(pa.float64()).to_numpy(zero_copy_only=False))
    if values.dtype.kind not in "fiub" or values.ndim not in {1, 2}:
        raise UnusableError(
            f"`predict` returned a {type(answer).__name__} of {values.dtype}, {values.ndim}-d",
            "return an array of numbers: one for each row, or one row of class probabilities",
        )
    matrix = values.astype(np.float64).reshape(len(values), -1)
    # From buffers, because pyarrow imports pandas to convert an array.
    buffers = [pa.py_buffer(np.ascontiguousarray(column)) for column in matrix.T]
    columns = pa.Table.from_arrays(
        [pa.Array.from_buffers(pa.float64(), len(values), [None, data]) for data in buffers],
        names=[str(n) for n in range(len(buffers))],
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, columns.schema) as writer:
        writer.write_table(columns)
    stream: bytes = sink.getvalue().to_pybytes()
    return stream


def _table(body: bytes) -> Any:  # noqa: ANN401 - pyarrow has no types
    import pyarrow as pa

    with pa.ipc.open_stream(pa.py_buffer(body)) as reader:
        return reader.read_all()


def _seed(seed: int) -> None:
    """Seed the generators of Python, NumPy and, if it is loaded, torch."""
    random.seed(seed)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(seed % (1 << 32))
    torch: ModuleType | None = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "manual_seed"):
        torch.manual_seed(seed)


def _receive(channel: socket.socket) -> tuple[dict[str, Any], bytes]:
    header_size, body_size = LENGTHS.unpack(_exactly(channel, LENGTHS.size))
    header: dict[str, Any] = json.loads(_exactly(channel, header_size))
    return header, _exactly(channel, body_size)


def _exactly(channel: socket.socket, size: int) -> bytes:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = channel.recv_into(view)
        if not count:
            os.killpg(0, signal.SIGKILL)  # the parent has ended
        view = view[count:]
    return bytes(data)


def _send(channel: socket.socket, header: Mapping[str, Any], body: bytes = b"") -> None:
    text = json.dumps(header).encode()
    channel.sendall(LENGTHS.pack(len(text), len(body)) + text)
    channel.sendall(body)


def _end_with_parent(parent: int, folder: str) -> None:
    """End this process and its children after the parent has ended, even if it was killed."""
    while os.getppid() == parent:
        time.sleep(1.0)
    _end(folder)


def _end(folder: str) -> None:
    """Remove the temporary folder, and end this process and those that the code started."""
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()

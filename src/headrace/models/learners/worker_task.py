"""Task of a worker process, and the environment variables that the process may read."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.models.learners.declaration import WorkerLimits

# Variables that the process may read; `WorkerLimits.environment` adds to them.
_ENVIRONMENT = (
    *("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
    *("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "SYSTEMROOT"),
)
_THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "BLIS", "VECLIB_MAXIMUM")


@dataclass(frozen=True)
class WorkerTask:
    """Code that a worker runs, and what it needs to know of the model.

    Attributes:
        model: name of the model, for messages.
        kind: kind of the learner: "trainer" or "sklearn".
        entry: "module:function".
        params: keyword arguments of the function.
        trusted: types that skops may load.
        threads: number of threads of numerical libraries.
        seed: seed of training and of each prediction.
        task: "binary", "multiclass" or "regression".
        classes: class labels in order; () for a regression.
        source: folder with the copied source.
        folders: folder of the files of each part of the model.
        checkout: folders whose files the code must not open.
    """

    model: str
    kind: str
    entry: str
    params: Mapping[str, Any]
    trusted: tuple[str, ...]
    threads: int
    seed: int
    task: str
    classes: tuple[Any, ...]
    source: Path
    folders: Mapping[str, Path]
    checkout: tuple[Path, ...]

    @property
    def module(self) -> str:
        return self.entry.partition(":")[0]

    @property
    def where(self) -> str:
        return f"model {self.model}, {self.entry}"


def environment(task: WorkerTask, limits: WorkerLimits, folder: Path) -> dict[str, str]:
    """Return the variables of a process: a short list, without secrets.

    `folder` is its temporary folder.
    """
    threads = {f"{name}_NUM_THREADS": str(task.threads) for name in _THREADS}
    folders = {"HOME": str(folder), "TMPDIR": str(folder)}
    names = (*_ENVIRONMENT, *limits.environment)
    return {
        **threads,
        **folders,
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
        "PYTHONIOENCODING": "utf-8",
        "PYTHONUNBUFFERED": "1",  # keep what was printed before a crash
        **{name: os.environ[name] for name in names if name in os.environ},
    }

"""Environments of their own for peers whose pins do not fit ours: `python -m bench.peer_env NAME`.

Each lies under `.headrace/bench/NAME` and is made once, by `pip`, from the exact versions in
`NAME_requirements.txt`, which are those of Python 3.11 on Linux.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from headrace.core.home import default_root


def python(name: str) -> Path:
    """The interpreter of the environment, which is made or renewed first where it has to be.

    Raises:
        subprocess.CalledProcessError: `pip` failed; what it said is on stderr.
    """
    requirements = Path(__file__).with_name(f"{name}_requirements.txt")
    folder = default_root() / "bench" / name
    interpreter, marker = folder / "bin" / "python", folder / "complete"
    wanted = sha256(requirements.read_bytes()).hexdigest()
    with _alone(folder.with_suffix(".lock")):
        if not marker.exists() or marker.read_text() != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            _run(sys.executable, "-m", "venv", str(folder))
            _run(str(interpreter), "-m", "pip", "install", "--quiet", "-r", str(requirements))
            marker.write_text(wanted)  # last: what a crash left half done is made anew
    return interpreter


def environment() -> dict[str, str]:
    """Variables for a process in one: nothing of our own environment's modules."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=sys.stderr)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time: two would write into one folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    print(python(sys.argv[1]))

"""Separate environments for peers whose pins conflict with ours: `python -m bench.peer_env NAME`.

Each environment is in `.headrace/bench/NAME`. `pip` makes it once, from the exact versions in
`NAME_requirements.txt`, which are for Python 3.11 on Linux.
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
    """Return the interpreter of the environment, which is first made or renewed if necessary.

    Raises:
        subprocess.CalledProcessError: `pip` failed; its output is on stderr.
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
            marker.write_text(wanted)  # last, so that a half-made environment is made again
    return interpreter


def environment() -> dict[str, str]:
    """Return variables for a process in such an environment: no modules of our environment."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=sys.stderr)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let only one process at a time in: two would write to the same folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    print(python(sys.argv[1]))

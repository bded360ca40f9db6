"""A folder of its own for torch: `python -m tests.datasets.torch_env` makes it.

It lies under `.headrace/torch` of the checkout. Whichever build pip finds is taken, with what that
build wants: 0.9 GB for processors alone, up to 4 GB where only the one for GPUs is offered. So its
version is pinned here, and no hashes. Whoever has the folder on the path after the environment's
own packages has torch beside them.
"""

import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

FOLDER = Path(__file__).parents[2] / ".headrace" / "torch"
WANTED = "torch==2.13.0"


def missing() -> str | None:
    """Why there is no torch here; None if there is."""
    marker = FOLDER / "complete"
    if not marker.exists() or marker.read_text() != _wanted():
        return "there is no torch: run `make torch`"
    return None


def make() -> None:
    """Make or renew the folder, unless it is there.

    Raises:
        subprocess.CalledProcessError: `pip` failed; what it said is on stderr.
    """
    if missing() is None:
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-cache-dir", "--target", str(FOLDER), WANTED], check=True)
    (FOLDER / "complete").write_text(_wanted())  # last: what a crash left half done is made anew


def _wanted() -> str:
    return sha256(f"{WANTED} {sys.version}".encode()).hexdigest()


if __name__ == "__main__":
    make()
    sys.stdout.write(f"{FOLDER}\n")

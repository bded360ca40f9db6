"""A folder of its own for torch: `python -m tests.datasets.torch_env` makes it.

It lies under `.headrace/torch` of the checkout and takes some 4 GB, for torch's usual build wants
its libraries for GPUs even where there is none. Whoever has it on the path after the environment's
own packages has torch beside them.
"""

import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

FOLDER = Path(__file__).parents[2] / ".headrace" / "torch"
REQUIREMENTS = Path(__file__).with_name("torch_requirements.txt")


def missing() -> str | None:
    """Why there is no torch here; None if there is."""
    marker = FOLDER / "complete"
    if not marker.exists() or marker.read_text() != _wanted():
        return "there is no torch: run `make torch`"
    return None


def make() -> None:
    """Make or renew the folder, unless it is there.

    Raises:
        subprocess.CalledProcessError: `uv` failed; what it said is on stderr.
    """
    if missing() is None:
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    uv = Path(sys.executable).with_name("uv")
    install = [str(uv), "pip", "install", "--quiet", "--python", sys.executable]
    what = ["--no-deps", "--require-hashes", "-r", str(REQUIREMENTS)]
    subprocess.run([*install, "--target", str(FOLDER), *what], check=True)
    (FOLDER / "complete").write_text(_wanted())  # last: what a crash left half done is made anew


def _wanted() -> str:
    return sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()


if __name__ == "__main__":
    make()
    sys.stdout.write(f"{FOLDER}\n")

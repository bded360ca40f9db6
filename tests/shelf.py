"""Where tests keep what is made once for all workers, named by what it was made from."""

import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

# On the disk also where the tests keep their own files in memory, and in their processes.
_ROOT = os.environ.setdefault("HEADRACE_SHELF", tempfile.gettempdir())


def shelf() -> Path:
    """A folder of this user's own, which outlives the tests."""
    folder = Path(_ROOT) / f"headrace-tests-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def version(files: Iterable[Path]) -> str:
    """Of the names and contents of files."""
    content = (f"{path.name}\0".encode() + path.read_bytes() for path in sorted(files))
    return hashlib.sha256(b"".join(content)).hexdigest()[:16]

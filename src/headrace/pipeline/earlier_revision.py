"""The project at another revision, whose feature definitions are compared with the current ones."""

import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from headrace.core.errors import DeclarationError
from headrace.core.home import project_root
from headrace.features.definition_changes import stored_forms
from headrace.pipeline.definition import Pipeline

_FORMS = "from headrace.cli import main; main()"


def pipeline_forms(pipeline: Pipeline) -> dict[str, Any]:
    """The canonical forms of a pipeline's spine and views, as JSON values to keep."""
    return stored_forms([pipeline.spine, *pipeline.views], pipeline.contracts)


def forms_of(reference: str, pipeline: str) -> dict[str, Any]:
    """Forms from a file that `headrace features forms` wrote, or of a git revision.

    Raises:
        DeclarationError: it is neither, or the revision's project does not load.
    """
    file = Path(reference)
    if file.is_file():
        forms: dict[str, Any] = json.loads(file.read_text())
        return forms
    return _of_revision(reference, pipeline)


@contextmanager
def unpacked(revision: str, fix: str = "give a git revision such as HEAD~1") -> Iterator[Path]:
    """The project's folder as it was at a git revision, in a folder that is then removed.

    Raises:
        DeclarationError: there is no such revision.
    """
    root = project_root()
    packed = subprocess.run(
        ["git", "archive", "--format=tar", "--end-of-options", revision],
        cwd=root,
        capture_output=True,
        check=False,
    )
    if packed.returncode:
        raise DeclarationError(
            f"{revision!r} is neither a file nor a revision", where=str(root), fix=fix
        )
    with tempfile.TemporaryDirectory(prefix="headrace-revision-") as folder:
        with tarfile.open(fileobj=BytesIO(packed.stdout)) as tar:
            # The filter came with 3.11.4; git made the archive, and of this repository.
            safe: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            tar.extractall(folder, **safe)  # noqa: S202
        yield Path(folder)


def _of_revision(revision: str, pipeline: str) -> dict[str, Any]:
    """Load the forms of a revision with this Headrace, in a separate process."""
    fix = "give a file of `headrace features forms`, or a git revision such as HEAD~1"
    with unpacked(revision, fix) as folder:
        process = subprocess.run(
            [sys.executable, "-c", _FORMS, "features", "forms", "--pipeline", pipeline],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    if process.returncode:
        raise DeclarationError(
            f"the project of {revision} does not load: {process.stderr.strip()[-500:]}",
            where=str(project_root()),
            fix="compare with a revision whose pipeline this Headrace can read",
        )
    forms: dict[str, Any] = json.loads(process.stdout)
    return forms

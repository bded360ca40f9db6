"""Feature definitions of the project at another git revision, to compare with the current ones."""

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
    """Return the canonical forms of a pipeline's spine and views as a JSON document."""
    return stored_forms([pipeline.spine, *pipeline.views], pipeline.contracts)


def forms_of(reference: str, pipeline: Pipeline) -> dict[str, Any]:
    """Return the canonical forms in a file of `headrace features forms`, or at a git revision.

    At a revision, they are those of the pipeline with this name and, if the pipeline has several
    datasets, of the dataset with this name.

    Raises:
        DeclarationError: `reference` is neither, or the project does not load at that revision.
    """
    file = Path(reference)
    if file.is_file():
        forms: dict[str, Any] = json.loads(file.read_text())
        return forms
    return _of_revision(reference, pipeline)


@contextmanager
def unpacked(revision: str, fix: str = "give a git revision such as HEAD~1") -> Iterator[Path]:
    """Extract the project at a git revision to a temporary folder; yield the folder's path.

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
            # Python before 3.11.4 has no filter; the archive is of this repository, so it is safe.
            safe: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            tar.extractall(folder, **safe)  # noqa: S202
        yield Path(folder)


def _of_revision(revision: str, pipeline: Pipeline) -> dict[str, Any]:
    """Compute the forms of a revision in a separate process, with the current Headrace."""
    fix = "give a file of `headrace features forms`, or a git revision such as HEAD~1"
    options = ["--pipeline", pipeline.name]
    if pipeline.full_pipeline is not pipeline:
        options += ["--dataset", pipeline.dataset.name]
    with unpacked(revision, fix) as folder:
        process = subprocess.run(
            [sys.executable, "-c", _FORMS, "features", "forms", *options],
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

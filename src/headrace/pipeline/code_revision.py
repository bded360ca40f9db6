"""Revision of the code, as recorded in releases."""

import subprocess
from importlib.metadata import PackageNotFoundError, version

from headrace.core.home import project_root


def code_revision() -> str:
    """Return `headrace <version>`, and the project's commit if the project is a git checkout.

    `+changes` is added if there are uncommitted changes.
    """
    try:
        package = f"headrace {version('headrace')}"
    except PackageNotFoundError:
        package = "headrace"
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return package
    changed = "+changes" if _git("status", "--porcelain") else ""
    return f"{package}, project {commit[:12]}{changed}"


def _git(*arguments: str) -> str:
    try:
        process = subprocess.run(
            ["git", *arguments],
            cwd=project_root(),
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return ""
    return process.stdout.strip() if process.returncode == 0 else ""

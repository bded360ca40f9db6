"""Which code made a release."""

import subprocess
from importlib.metadata import PackageNotFoundError, version

from headrace.core.home import project_root


def code_revision() -> str:
    """`headrace <version>`, and the project's commit where it is a git checkout."""
    try:
        own = f"headrace {version('headrace')}"
    except PackageNotFoundError:
        own = "headrace"
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return own
    changed = "+changes" if _git("status", "--porcelain") else ""
    return f"{own}, project {commit[:12]}{changed}"


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=project_root(),
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""

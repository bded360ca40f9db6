"""Limits of the figures, which only go down, and what was added above them."""

import json
import re
import subprocess
from collections import defaultdict
from pathlib import Path

from tests.house.figures import ROOT, Place, Survey

FILE = Path(__file__).with_name("limits.json")


def read() -> dict[str, int]:
    return json.loads(FILE.read_text())


def tighten(survey: Survey) -> list[str]:
    """Lower each limit to today's figure; return a line for each that went down."""
    before = read()
    after = {name: min(before.get(name, count), count) for name, count in survey.counts().items()}
    FILE.write_text(json.dumps(after, indent=1) + "\n")
    return [
        f"{name}: {before.get(name)} -> {after[name]}"
        for name in after
        if before.get(name) != after[name]
    ]


def git(*arguments: str) -> str:
    """Return what git prints, nothing without a history."""
    return subprocess.run(
        ["git", "-c", "diff.renameLimit=5000", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout


def lines_since_limits() -> dict[str, set[int]]:
    """Return the lines added to each file since the limits were last set."""
    commit = git("log", "-1", "--format=%H", "--", str(FILE)).strip()
    added: dict[str, set[int]] = defaultdict(set)
    if not commit:
        return added
    file = ""
    for line in git("diff", "-U0", "-M", commit, "--", "src", "docs", "tests").splitlines():
        if line.startswith("+++ b/"):
            file = line.removeprefix("+++ b/")
        hunk = re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line)
        if hunk:
            first, count = int(hunk[1]), int(hunk[2] or 1)
            added[file] |= set(range(first, first + count))
    return added


def added(places: list[Place]) -> list[Place]:
    """Return the places on new lines; all of them where no history says which are new."""
    lines = lines_since_limits()
    return [place for place in places if place.line in lines[place.file]] or places

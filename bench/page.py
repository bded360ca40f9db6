"""Page `docs/benchmarks.md`: one section per benchmark, each of which can be renewed alone."""

import os
import platform
import re
from collections.abc import Iterable
from importlib.metadata import version

from bench.report import Comparison

HEAD = """# Benchmarks

`make bench` writes this page in about two hours. `python -m bench features cluster` renews only the
sections that it names.

Most tables compare Headrace (`ours`) with a peer. `ratio` is the peer's time divided by ours:
greater is better, and 0.333 means that Headrace takes three times as long. A goal is met if the
ratio is reached and the answers of both sides are equal. The last column is the peak memory of
Headrace. Some lines compare megabytes or processor seconds instead of seconds; their names say so.
"""
PACKAGES = ("duckdb", "polars", "pyarrow", "lightgbm", "pyiceberg", "dagster")


def renew(page: str, titles: Iterable[str], sections: dict[str, str]) -> str:
    """Replace these sections of the page, sort all by `titles`, and drop those not in `titles`."""
    old = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", page, flags=re.MULTILINE | re.DOTALL))
    all_ = old | sections
    bodies = [f"## {title}\n\n{all_[title].strip()}\n" for title in titles if title in all_]
    return "\n".join([HEAD, *bodies])


def section(intro: str, rows: list[str], rest: str, found: Iterable[Comparison]) -> str:
    """Return a section's body: introduction, machine, table, other results, and lines as JSON."""
    lines = "\n".join(one.line() for one in found)
    parts = [intro.strip(), machine(), "\n".join(rows), rest.strip(), "The same lines as JSON:",
             f"```json\n{lines}\n```"]  # fmt: skip
    return "\n\n".join(part for part in parts if part)


def table(found: Iterable[Comparison], undecided: Iterable[str] = ()) -> list[str]:
    """Return Markdown rows; a goal against a peer in `undecided` is neither met nor missed."""
    rows = [
        "| what | ours, s | peer | its time, s | ratio | goal | met | answers equal | peak, MB |",
        "| --- | ---: | --- | ---: | ---: | ---: | --- | --- | ---: |",
    ]
    for one in found:
        goal = "" if one.goal is None else f"{one.goal:.3g}"
        peak = one.rss_mb or ""
        rows.append(
            f"| {one.name} | {one.ours_s:.4g} | {one.peer} | {one.peer_s:.4g} | {one.ratio:.3g} "
            f"| {goal} | {_met(one, undecided)} | {'yes' if one.answers_equal else 'no'} | {peak} |"
        )
    return rows


def _met(one: Comparison, undecided: Iterable[str]) -> str:
    if one.goal is None:
        return ""
    if one.peer in undecided:
        return "undecided"
    return "yes" if one.met else "no"


def machine() -> str:
    cores = os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    python = platform.python_version()
    return f"Machine: {cores} cores, {memory:.0f} GB, Python {python}; {packages}."

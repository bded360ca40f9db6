"""Renew the table of types in docs/reference/suites.md: `python -m tools.suite_types`."""

import re
from pathlib import Path

from headrace.gates.vocabulary import ELSEWHERE, VOCABULARY, ExpectationType

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "suites.md"
BEGIN, END = "<!-- types: python -m tools.suite_types -->", "<!-- /types -->"


def table() -> str:
    """Every type that a suite may name, in the order of the vocabulary."""
    lines = ["| type | takes | rows | by level | answered by |", "|---|---|---|---|---|"]
    lines += [_line(kind, one) for kind, one in VOCABULARY.items()]
    refused = [f"- `{kind}`: {why}." for kind, why in ELSEWHERE.items()]
    return "\n".join([*lines, "", "Refused, with the reason:", "", *refused])


def _line(kind: str, one: ExpectationType) -> str:
    takes = [f"`{key}`" for key in one.required]
    takes += [f"[`{key}`]" for key in one.optional]
    rows = ("alone" if one.alone else "yes") if one.row_level else ""
    answered = "one scan" if one.compiled else "Great Expectations"
    level = "yes" if one.sliced else ""
    return f"| `{kind}` | {' '.join(takes)} | {rows} | {level} | {answered} |"


def renewed(page: str) -> str:
    """The page with the table of now."""
    between = re.compile(f"(?<={re.escape(BEGIN)}\n).*(?={re.escape(END)})", re.DOTALL)
    return between.sub(lambda _: f"\n{table()}\n\n", page)


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

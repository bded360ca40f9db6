"""Markdown of the reference: tables, text of docstrings, headings."""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

CODE_SPAN = re.compile(r"(`[^`]*`)")
# `<name>` in running text would be an HTML element, `*` and `_` emphasis.
SPECIAL = re.compile(r"([*\\\[\]]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; columns without any text are left out."""
    lines = [list(row) for row in rows]
    used = [number for number, _ in enumerate(head) if any(line[number] for line in lines)]
    body = [[cell(line[number]) for number in used] for line in lines]
    titles = [head[number] for number in used]
    return "\n".join(_row(line) for line in [titles, ["---"] * len(used), *body])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def cell(text: str) -> str:
    """Return text of one table cell."""
    return " ".join(text.split()).replace("|", "\\|")


def code(text: str) -> str:
    """Return a code span, also of text that holds backticks; "" for no text."""
    if "`" in text:
        return f"`` {text} ``"
    return f"`{text}`" if text else ""


def escaped(text: str) -> str:
    """Return plain text that Markdown shows as it is; code spans stay."""
    parts = CODE_SPAN.split(text)
    return "".join(part if part.startswith("`") else _plain(part) for part in parts)


def _plain(text: str) -> str:
    return SPECIAL.sub(r"\\\1", text).replace("<", "&lt;")


def prose(text: str, language: str = "text") -> str:
    """Return the text of a docstring: lines that are indented become blocks of code."""
    blocks = []
    for indented, lines in groupby(text.strip().split("\n"), _is_code):
        if indented:
            blocks.append(f"```{language}\n{_dedented(lines)}\n```")
        else:
            blocks.append("\n".join(escaped(line) for line in lines).strip("\n"))
    return "\n\n".join(block for block in blocks if block)


def _is_code(line: str) -> bool:
    return line.startswith("  ")


def _dedented(lines: Iterable[str]) -> str:
    block = list(lines)
    margin = min(len(line) - len(line.lstrip()) for line in block)
    return "\n".join(line[margin:] for line in block)


def anchor(heading: str) -> str:
    """Return the anchor that the site and GitHub give to a heading of letters and code."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")

"""YAML formatting of contract values.

Text is quoted, unless every YAML reader reads the unquoted text as a string.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

# Unquoted text that every YAML reader, including YAML 1.1, reads as a string.
_PLAIN = re.compile(r"[A-Za-z_](?:[\w ./()+%$@-]*[\w./()+%$-])?|\d+\.\d+\.\d+", re.ASCII)
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})


def flow(value: object) -> str:
    """Format a value in flow style, such as `{property: unit, value: EUR}`.

    Reading the result as YAML gives the same value.
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(key)}: {flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


def scalar(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, str):
        return value if _is_plain(value) else quoted(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        text = f"{Decimal(repr(value)):f}"  # our YAML reader does not accept exponents
        return text if "." in text else f"{text}.0"
    raise TypeError(f"cannot format a {type(value).__name__} as YAML")


def _is_plain(text: str) -> bool:
    return bool(_PLAIN.fullmatch(text)) and text.casefold() not in _WORDS


def quoted(text: str) -> str:
    """Return the text in double quotes, on one line."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char in "\n\t":
        return {"\n": "\\n", "\t": "\\t"}[char]
    return char if char.isprintable() else f"\\U{ord(char):08X}"


def block(value: Mapping[str, object], width: int = 92) -> str:
    """Format a mapping as a YAML document in block style; short values stay on one line."""
    return "".join(f"{line}\n" for line in _entries(value, width))


def _entries(value: Mapping[str, object], width: int) -> Iterator[str]:
    for key, inner in value.items():
        yield from _under(f"{flow(key)}:", inner, width, indent=isinstance(inner, Mapping))


def _items(value: Sequence[object], width: int) -> Iterator[str]:
    for inner in value:
        if _short(inner, width - 2) or not isinstance(inner, Mapping):
            yield f"- {flow(inner)}"
            continue
        first, *rest = _entries(inner, width - 2)
        yield f"- {first}"
        yield from (f"  {line}" for line in rest)


def _under(start: str, inner: Any, width: int, *, indent: bool) -> Iterator[str]:  # noqa: ANN401
    nested = isinstance(inner, Mapping | list | tuple) and bool(inner)
    if not nested or (len(start) + len(flow(inner)) < width and not _deep(inner)):
        yield f"{start} {flow(inner)}"
        return
    yield start
    lines = _entries(inner, width - 2) if indent else _items(inner, width - 2)
    yield from (f"  {line}" for line in lines)


def _short(value: object, width: int) -> bool:
    return len(flow(value)) < width and not _deep(value)


def _deep(value: object, depth: int = 2) -> bool:
    """Return True if the value is nested too deeply for one line (more than `depth` levels)."""
    if not isinstance(value, Mapping | list | tuple):
        return False
    inner = value.values() if isinstance(value, Mapping) else value
    return depth == 0 or any(_deep(entry, depth - 1) for entry in inner)

"""Values as YAML on one line, as contracts are written: plain where every reader agrees."""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

# Text that no YAML reader takes for something else than text, old ones included.
_PLAIN = re.compile(r"[A-Za-z_](?:[\w ./()+%$@-]*[\w./()+%$-])?|\d+\.\d+\.\d+", re.ASCII)
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})


def flow(value: object) -> str:
    """`{property: unit, value: EUR}`: what `document` reads back as the same value."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(key)}: {flow(one)}" for key, one in value.items()) + "}"
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
        text = f"{Decimal(repr(value)):f}"  # our reader knows no exponents
        return text if "." in text else f"{text}.0"
    raise TypeError(f"no YAML for {type(value).__name__}")


def _is_plain(text: str) -> bool:
    return bool(_PLAIN.fullmatch(text)) and text.casefold() not in _WORDS


def quoted(text: str) -> str:
    """In double quotes, on one line."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char in "\n\t":
        return {"\n": "\\n", "\t": "\\t"}[char]
    return char if char.isprintable() else f"\\U{ord(char):08X}"


def block(value: Mapping[str, object], width: int = 92) -> str:
    """A mapping as a YAML document in block style; what is short stands on one line."""
    return "".join(f"{line}\n" for line in _entries(value, width))


def _entries(value: Mapping[str, object], width: int) -> Iterator[str]:
    for key, one in value.items():
        yield from _under(f"{flow(key)}:", one, width, indent=isinstance(one, Mapping))


def _items(value: Sequence[object], width: int) -> Iterator[str]:
    for one in value:
        if _short(one, width - 2) or not isinstance(one, Mapping):
            yield f"- {flow(one)}"
            continue
        first, *rest = _entries(one, width - 2)
        yield f"- {first}"
        yield from (f"  {line}" for line in rest)


def _under(start: str, one: Any, width: int, *, indent: bool) -> Iterator[str]:  # noqa: ANN401
    nested = isinstance(one, Mapping | list | tuple) and bool(one)
    if not nested or (len(start) + len(flow(one)) < width and not _deep(one)):
        yield f"{start} {flow(one)}"
        return
    yield start
    lines = _entries(one, width - 2) if indent else _items(one, width - 2)
    yield from (f"  {line}" for line in lines)


def _short(one: object, width: int) -> bool:
    return len(flow(one)) < width and not _deep(one)


def _deep(one: object, most: int = 2) -> bool:
    """Whether it is nested so far that one line is hard to read."""
    if not isinstance(one, Mapping | list | tuple):
        return False
    inner = one.values() if isinstance(one, Mapping) else one
    return most == 0 or any(_deep(each, most - 1) for each in inner)

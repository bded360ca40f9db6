"""Values as YAML on one line, as contracts are written: plain where every reader agrees."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

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
    return char if char.isprintable() else f"\\U{ord(char):08X}"

"""Line numbers of places in a YAML file, for errors."""

import re
from pathlib import Path
from typing import Any

import yaml

TOP = "top level"
_STEP = re.compile(r"\[([^\]]*)\]|([^.,:\[\]]+)")
# Keys that hold the name of a list entry, by which a path addresses it.
_NAMES = ("property", "name", "id")
_KEY = re.compile(r"unknown key '?([^', ]+)|(\w+) is ")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def located(file: Path, place: str, key: str = "") -> str:
    """Return `place` with its line, "schema[0].name, line 12"; unchanged if no line is found.

    Args:
        file: the YAML file; it is read again, since errors are rare.
        place: keys and list entries from the top, such as "schema[0].properties[price].name".
        key: the key of the mapping at `place` that the error is about.
    """
    try:
        root = yaml.compose(file.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return place
    if root is None:
        return place
    node, line = root, root.start_mark.line
    steps = [] if place == TOP else _STEP.findall(place)
    for bracketed, plain in [*steps, *([("", key)] if key else [])]:
        child = _child(node, bracketed or plain.strip(), listed=bool(bracketed))
        if child is None:
            break
        node, line = child
    return f"{place}, line {line + 1}"


def with_line(file: Path, where: str, what: str = "") -> str:
    """Return the `where` of an error, with the line added if it is a place in `file`.

    `what` is the error's message: if it begins with the faulty key, the line is that key's.
    """
    if not where.startswith(str(file)) or ", line " in where:
        return where
    rest = where.removeprefix(str(file))
    place = rest.lstrip(",: ")
    match = _KEY.match(what)
    line = located(file, place, next(filter(None, match.groups()), "") if match else "")
    return f"{file}{rest[: len(rest) - len(place)] if place else ''}{line}"


def _child(node: yaml.Node, step: str, *, listed: bool) -> tuple[yaml.Node, int] | None:
    """Return the value under a key or in a list, and the line on which it begins."""
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == step:
                return value, name.start_mark.line
    if isinstance(node, yaml.SequenceNode) and listed:
        if step.isdigit() and int(step) < len(node.value):
            return node.value[int(step)], node.value[int(step)].start_mark.line
        for item in node.value:
            if isinstance(item, yaml.MappingNode) and _is_named(item, step):
                return item, item.start_mark.line
    return None


def _is_named(item: yaml.MappingNode, step: str) -> bool:
    return any(name.value in _NAMES and value.value == step for name, value in item.value)


def syntax_place(file: Path, error: yaml.YAMLError) -> tuple[str, str]:
    """Return why a text is not valid YAML, and the file with line and column."""
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or str(error).partition("\n")[0]
    if mark is None:
        return what, str(file)
    return what, f"{file}, line {mark.line + 1}, column {mark.column + 1}"

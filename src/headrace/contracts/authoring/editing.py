"""In-place edits of a contract's YAML text that preserve comments, order and everything else.

Each edit locates a node in the parsed document, replaces or inserts text there, and parses the
document again. Contracts are written in block style. In a flow-style part, edits can only replace
and append values.
"""

from pathlib import Path
from typing import Any

import yaml

from headrace.contracts.authoring.yaml_values import flow
from headrace.core.declarations.strict_yaml import parse_document
from headrace.core.errors import DeclarationError

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Step = str | int
Place = tuple[Step, ...]


class Edited:
    """Text of a contract that is being edited.

    A place is the path of a node, from the top of the document:
    `("schema", 0, "properties", "amount", "customProperties",
    "unit", "value")`. List entries are addressed by number, or by their `property` or `name`.

    Raises:
        DeclarationError: if a place does not exist, or an edit cannot be made in flow style.
    """

    def __init__(self, text: str) -> None:
        self.text = text if text.endswith("\n") else text + "\n"

    def has(self, *place: Step) -> bool:
        return _descend(_parsed(self.text), place) is not None

    def value(self, *place: Step) -> Any:  # noqa: ANN401  (any YAML value)
        """Return the value at a place."""
        node = parse_document(self.text, Path("contract")).value
        for step in place:
            node = _of_value(node, step)
        return node

    def is_block(self, *place: Step) -> bool:
        return not self._node(place).flow_style

    def set(self, *place: Step, to: object) -> None:
        """Set the value at a place; add the key if the mapping does not have it yet."""
        *rest, key = place
        node = _descend(_parsed(self.text), place)
        if node is not None:
            self._replace(node, flow(to))
        else:
            self._add_entry(self._node(tuple(rest)), f"{flow(key)}: {flow(to)}")

    def add(self, *place: Step, item: object) -> None:
        """Append `item` to the list at a place."""
        node = self._node(place)
        if not node.flow_style and not node.value:
            raise self._not_editable(place)
        if node.flow_style:
            self._add_to_flow(node, flow(item))
        else:
            line = f"{' ' * node.value[0].start_mark.column}{flow(item)}"
            indent = node.start_mark.column
            self._insert_line(_end(node), f"{' ' * indent}- {line.strip()}")

    def custom(self, *owner: Step, name: str, to: object) -> None:
        """Set the custom property `name` of a column, a table or the contract."""
        if self.has(*owner, "customProperties", name):
            self.set(*owner, "customProperties", name, "value", to=to)
            return
        entry = {"property": name, "value": to}
        if self.has(*owner, "customProperties"):
            self.add(*owner, "customProperties", item=entry)
            return
        node = self._node(owner)
        if node.flow_style:
            self._add_to_flow(node, f"customProperties: {flow([entry])}")
            return
        indent = " " * node.start_mark.column
        self._insert_line(_end(node), f"{indent}customProperties:\n{indent}  - {flow(entry)}")

    def insert_after(self, *place: Step, lines: list[str]) -> None:
        """Insert a list entry after the one at `place`; `lines` are unindented block style."""
        rest, key = place[:-1], place[-1]
        parent = self._node(rest)
        if parent.flow_style:
            raise self._not_editable(place)
        node = _entry(parent, key)
        if node is None:
            raise self._not_editable(place)
        indent = " " * parent.start_mark.column
        block = [f"{indent}- {lines[0]}", *(f"{indent}  {line}" for line in lines[1:])]
        self._insert_line(_end(node), "\n".join(block))

    def remove(self, *place: Step) -> None:
        """Remove an entry from a block-style list; keep the comments before and after it."""
        rest, key = place[:-1], place[-1]
        parent = self._node(rest)
        node = None if parent.flow_style else _entry(parent, key)
        if node is None:
            raise self._not_editable(place)
        start = self.text.rfind("\n", 0, node.start_mark.index) + 1
        self.text = self.text[:start] + self.text[self._line_end(_end(node)) :]

    def _node(self, place: Place) -> Any:  # noqa: ANN401  (PyYAML's nodes)
        node = _descend(_parsed(self.text), place)
        if node is None:
            raise self._not_editable(place)
        return node

    def _not_editable(self, place: Place) -> DeclarationError:
        where = ".".join(map(str, place))
        return DeclarationError(
            f"cannot edit {where!r} in this contract",
            fix="write the columns in block style, one key per line, or edit the file by hand",
        )

    def _replace(self, node: Any, text: str) -> None:  # noqa: ANN401
        start, end = node.start_mark.index, _end(node)
        before = self.text[:start]
        if "\n" in self.text[start:end] and before.rstrip(" ").endswith("\n"):
            before = before.rstrip(" \n") + " "  # move a block value up to its key's line
        self.text = before + text + self.text[end:]

    def _add_entry(self, node: Any, entry: str) -> None:  # noqa: ANN401
        if node.flow_style:
            self._add_to_flow(node, entry)
        else:
            self._insert_line(_end(node), f"{' ' * node.start_mark.column}{entry}")

    def _add_to_flow(self, node: Any, item: str) -> None:  # noqa: ANN401
        if not node.value:
            close = node.end_mark.index - 1
            self.text = self.text[:close].rstrip() + item + self.text[close:]
            return
        last = node.value[-1]
        end = _end(last[1] if isinstance(last, tuple) else last)
        self.text = f"{self.text[:end]}, {item}{self.text[end:]}"

    def _insert_line(self, after: int, text: str) -> None:
        end = self._line_end(after)
        self.text = f"{self.text[:end]}{text}\n{self.text[end:]}"

    def _line_end(self, index: int) -> int:
        """Return the start of the next line, or `index` if `index` is the start of a line."""
        if index and self.text[index - 1] == "\n":
            return index
        return self.text.index("\n", index) + 1


def _parsed(text: str) -> Any:  # noqa: ANN401
    return yaml.compose(text, _Loader)


def _descend(node: Any, place: Place) -> Any:  # noqa: ANN401
    for step in place:
        node = _entry(node, step)
        if node is None:
            return None
    return node


def _entry(node: Any, step: Step) -> Any:  # noqa: ANN401
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    if not isinstance(node, yaml.SequenceNode):
        return None
    if isinstance(step, int):
        return node.value[step] if step < len(node.value) else None
    return next((item for item in node.value if _name(item) == step), None)


def _name(node: Any) -> str | None:  # noqa: ANN401
    if not isinstance(node, yaml.MappingNode):
        return None
    entries = {key.value: value.value for key, value in node.value}
    name = entries.get("property", entries.get("name"))
    return name if isinstance(name, str) else None


def _end(node: Any) -> int:  # noqa: ANN401
    """Return the index where a node's content ends; PyYAML's `end_mark` lies after comments."""
    if isinstance(node, yaml.ScalarNode) or node.flow_style or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    return _end(last[1] if isinstance(last, tuple) else last)


def _of_value(value: Any, step: Step) -> Any:  # noqa: ANN401
    if isinstance(step, int) or isinstance(value, dict):
        return value[step]
    return next(entry for entry in value if entry.get("property", entry.get("name")) == step)

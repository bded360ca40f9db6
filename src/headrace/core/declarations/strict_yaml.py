"""Strict reader of YAML declarations: every error names the file and the place in it."""

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import yaml

from headrace.core.declarations.yaml_lines import TOP, located, syntax_place
from headrace.core.errors import DeclarationError

T = TypeVar("T")
# Placeholders that a person must replace: text that begins with MARK, or equals NOT_STATED.
MARK, NOT_STATED = "TODO", "not_stated"


@dataclass(frozen=True)
class Key:
    """Key of a declaration file, for its reader and the reference documentation.

    Attributes:
        form: form of its value, in words.
        meaning: its effect, in one sentence.
        default: default value in words; "" if there is none.
    """

    name: str
    form: str
    meaning: str
    required: bool = False
    default: str = ""


class Keys(tuple[Key, ...]):
    """Keys of one mapping of a declaration file. A reader refuses every other key."""

    __slots__ = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(key.name for key in self)

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(key.name for key in self if key.required)

    @property
    def optional(self) -> tuple[str, ...]:
        return tuple(key.name for key in self if not key.required)


def choice(names: Collection[object]) -> str:
    """Return the form of a key whose value is one of these names: "`a`, `b` or `c`"."""
    quoted = [f"`{name}`" for name in names]
    return " or ".join(filter(None, (", ".join(quoted[:-1]), quoted[-1])))


PROPERTY = Keys(
    (
        Key("property", "text", "Name of the custom property.", required=True),
        Key("value", "depends on the property", "Its value.", required=True),
        Key("id", "as in ODCS", "Defined by ODCS; Headrace stores it but does not use it."),
        Key("description", "text", "Note for readers."),
    )
)


@dataclass(frozen=True)
class Node:
    """Value in a YAML document, with its file and path."""

    file: Path
    path: str
    value: Any

    def error(self, what: str, fix: str = "", key: str = "") -> DeclarationError:
        """Return an error with file, place and line; `key` is the faulty key of this mapping."""
        place = located(self.file, self.path or TOP, key)
        return DeclarationError(what, where=f"{self.file}: {place}", fix=fix)

    def entries(self, keys: Keys) -> "dict[str, Node]":
        """Return the entries of a mapping, which must match `keys`."""
        return self.mapping(keys.required, keys.optional)

    def custom(self, keys: Keys) -> "dict[str, Node]":
        """Return the entries of an ODCS customProperties list, which must match `keys`."""
        return self.properties(keys.required, keys.optional)

    def mapping(
        self, required: Collection[str], optional: Collection[str] = ()
    ) -> "dict[str, Node]":
        """Return the entries of a mapping; raise an error if keys are missing or undeclared."""
        entries = self._typed(dict, "a mapping").items()
        nodes = {key: Node(self.file, f"{self.path}.{key}".lstrip("."), v) for key, v in entries}
        return self._checked(nodes, required, optional)

    def properties(
        self, required: Collection[str], optional: Collection[str] = ()
    ) -> "dict[str, Node]":
        """Return the entries of an ODCS customProperties list, keyed by their `property`."""
        nodes: dict[str, Node] = {}
        for item in self.items():
            entry = item.entries(PROPERTY)
            name = entry["property"].text()
            if name in nodes:
                raise self.error(f"custom property {name!r} appears twice", fix="keep one of them")
            nodes[name] = Node(self.file, f"{self.path}[{name}]", entry["value"].value)
        return self._checked(nodes, required, optional)

    def items(self) -> "list[Node]":
        values = self._typed(list, "a list")
        return [Node(self.file, f"{self.path}[{n}]", value) for n, value in enumerate(values)]

    def text(self) -> str:
        value = str(self._typed(str, "text"))
        if not value.strip():
            raise self.error("expected text, got an empty string", fix="write it, or drop the key")
        return value

    def texts(self) -> tuple[str, ...]:
        """Return a list of strings; "" is allowed, since a null token may be an empty field."""
        return tuple(str(item._typed(str, "text")) for item in self.items())  # noqa: SLF001

    def integer(self, minimum: int | None = None) -> int:
        value = int(self._typed(int, "a whole number"))
        if minimum is not None and value < minimum:
            raise self.error(
                f"expected at least {minimum}, got {value}", fix="write a greater number"
            )
        return value

    def number(self) -> float:
        value: float = self._typed((int, float), "a number")
        return value

    def decimal(self) -> Decimal:
        """Return the number with all digits that the file contains."""
        value = self.number()
        return value.exact if isinstance(value, _WrittenFloat) else Decimal(str(value))

    def boolean(self) -> bool:
        return bool(self._typed(bool, "true or false"))

    def choose(self, choices: Collection[T]) -> T:
        for choice in choices:
            if self.value == choice:
                return choice
        names = ", ".join(str(choice) for choice in choices)
        if is_mark(self.value):
            raise self.error("this is not decided yet", fix=f"write one of: {names}")
        raise self.error(f"{self.value!r} is not allowed here", fix=f"write one of: {names}")

    def _typed(self, kind: type | tuple[type, ...], name: str) -> Any:  # noqa: ANN401  (the callers narrow it)
        boolean = isinstance(self.value, bool) and kind is not bool
        if boolean or not isinstance(self.value, kind):
            raise self.error(f"expected {name}, got {self.value!r}", fix=f"write {name} here")
        return self.value

    def _checked(
        self, nodes: "dict[str, Node]", required: Collection[str], optional: Collection[str]
    ) -> "dict[str, Node]":
        allowed = [*required, *optional]
        for key in nodes:
            if key not in allowed:
                raise self.error(f"unknown key {key!r}", fix=_nearest(key, allowed), key=key)
        for key in required:
            if key not in nodes:
                raise self.error(f"{key!r} is missing", fix=f"add {key!r}")
        return nodes


def is_mark(value: object) -> bool:
    return isinstance(value, str) and (value.startswith(MARK) or value == NOT_STATED)


def read_document(path: Path) -> Node:
    """Read the document in `path`; DeclarationError if it is missing or not YAML."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        what, fix = f"cannot read it: {error.strerror}", "put the file there, or correct its path"
        raise DeclarationError(what, where=str(path), fix=fix) from error
    except UnicodeDecodeError as error:
        what, fix = f"not valid YAML: {error}", "save the file as UTF-8 text"
        raise DeclarationError(what, where=str(path), fix=fix) from error
    return parse_document(text, path)


def parse_document(text: str, path: Path) -> Node:
    """Parse `text` as the document at `path`."""
    try:
        value = yaml.load(text, _Strict)  # noqa: S506  (a safe loader)
    except yaml.YAMLError as error:
        what, where = syntax_place(path, error)
        fix = "check the indentation and the quotes on this line and the one before"
        raise DeclarationError(f"not valid YAML: {what}", where=where, fix=fix) from error
    return Node(path, "", value)


def _nearest(word: str, words: Collection[str]) -> str:
    near = difflib.get_close_matches(word, words, n=1)
    return f"did you mean {near[0]!r}?" if near else f"use one of: {', '.join(words)}"


_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one is ten times faster


class _Strict(_Base):  # type: ignore[misc]
    """YAML loader without surprises: unique keys; dates, `no`, `012` and `20:00` stay text."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str) or key in result:
            what = f"key {key!r} is given twice" if key in result else f"key {key!r} is not text"
            raise yaml.constructor.ConstructorError(None, None, what, key_node.start_mark)
        result[key] = loader.construct_object(value_node, deep=True)
    return result


class _WrittenFloat(float):
    """Float that also keeps the digits in the file, which a float64 cannot hold."""

    exact: Decimal


def _float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    text = loader.construct_scalar(node)
    value = float(text)
    if Decimal(str(value)) == Decimal(text):
        return value
    written = _WrittenFloat(value)
    written.exact = Decimal(text)
    return written


_Strict.add_constructor("tag:yaml.org,2002:map", _mapping)
_Strict.add_constructor("tag:yaml.org,2002:float", _float)
for _tag, _pattern, _first in (
    ("null", r"null|~|", ["n", "~", ""]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"-?(?:0|[1-9]\d*)", list("-0123456789")),
    ("float", r"-?(?:0|[1-9]\d*)\.\d+", list("-0123456789")),
):
    _Strict.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), _first
    )

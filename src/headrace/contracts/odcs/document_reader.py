"""Reader for ODCS documents of other tools: YAML 1.2 or JSON, dates as text, unique keys."""

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import yaml

from headrace.core.errors import DeclarationError


def read_foreign(path: Path) -> dict[str, Any]:
    """Read an ODCS document from a file.

    Raises:
        DeclarationError: if the file is missing, not YAML, or not an ODCS document of version 3.
    """
    try:
        value = _parsed(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DeclarationError(f"cannot read it: {error.strerror}", where=str(path)) from error
    except (yaml.YAMLError, ValueError) as error:
        raise DeclarationError(f"not valid YAML: {error}", where=str(path)) from error
    if not isinstance(value, dict) or value.get("kind", "DataContract") != "DataContract":
        raise DeclarationError(
            "this is not an ODCS document", where=str(path), fix="kind: DataContract"
        )
    version = str(value.get("apiVersion", ""))
    if not version.startswith("v3."):
        raise DeclarationError(
            f"apiVersion is {version!r}",
            where=str(path),
            fix="convert it to ODCS 3 first; earlier versions have another structure",
        )
    return value


def _parsed(text: str) -> Any:  # noqa: ANN401  (any YAML value)
    """Parse YAML or JSON. JSON has its own parser: YAML does not read its surrogate pairs."""
    if text.lstrip()[:1] == "{":
        with suppress(json.JSONDecodeError):
            return json.loads(text, object_pairs_hook=_unique)
    return yaml.load(text, _Foreign)  # noqa: S506  (a safe loader)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {twice!r} appears twice")
    return mapping


_Base: Any = yaml.SafeLoader


class _Foreign(_Base):  # type: ignore[misc]
    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[str, Any]:
    keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        what = f"key {twice!r} is given twice"
        raise yaml.constructor.ConstructorError(None, None, what, node.start_mark)
    loader.flatten_mapping(node)
    return {
        str(loader.construct_object(key, deep=True)): loader.construct_object(value, deep=True)
        for key, value in node.value
    }


_Foreign.add_constructor("tag:yaml.org,2002:map", _mapping)
for _tag, _pattern, _first in (
    ("null", r"null|Null|NULL|~|", ["n", "N", "~", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?",
     list("-+.0123456789")),
    ("merge", "<<", ["<"]),
):  # fmt: skip
    _Foreign.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), _first
    )

"""Validation against the published JSON schema of the Open Data Contract Standard.

The schema comes with the package `open-data-contract-standard`: `pip install 'headrace[odcs]'`.
"""

import json
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

_PACKAGE = "open-data-contract-standard"
_MAX_PROBLEMS = 20


@cache
def schema() -> dict[str, Any] | None:
    """Return the corrected JSON schema of ODCS 3.2.0; None if the package is not installed."""
    try:
        package = distribution(_PACKAGE)
    except PackageNotFoundError:
        return None
    # Read the file without importing the package, which would load pydantic.
    path = Path(str(package.locate_file("open_data_contract_standard/schema.json")))
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return _corrected(read)


def _corrected(published: dict[str, Any]) -> dict[str, Any]:
    """Restrict the schema's conditions on a column's type to columns that have a type.

    In JSON schema, a condition on a key also holds if the key is absent. The schema published with
    3.2.0 would therefore require a `map` and vector options of a column without a logicalType.
    """
    for rule in published["$defs"]["SchemaBaseProperty"]["allOf"]:
        if "logicalType" in rule.get("if", {}).get("properties", {}):
            rule["if"].setdefault("required", ["logicalType"])
    return published


def problems(document: object) -> list[str] | None:
    """List up to 20 schema violations, "path: message"; None if a required package is missing."""
    published = schema()
    if published is None:
        return None
    try:
        from jsonschema import Draft201909Validator
    except ImportError:
        return None
    errors = sorted(
        Draft201909Validator(published).iter_errors(document), key=lambda e: e.json_path
    )
    return [f"{error.json_path}: {error.message[:200]}" for error in errors[:_MAX_PROBLEMS]]

"""A drafted suite as YAML that a person would want to review."""

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from headrace.gates.drafting.draft import Draft

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_KEYWORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def check_text(draft: Draft) -> str:
    """One expectation: two to four lines."""
    lines = [f"  - type: {draft.type}", f"    kwargs: {_flow(draft.kwargs)}"]
    if draft.severity != "critical":
        lines.append(f"    severity: {draft.severity}")
    lines.append(f"    meta: {_flow(draft.meta)}")
    return "\n".join(lines)


def suite_text(
    name: str, meta: Mapping[str, Any], drafts: Sequence[Draft], comments: Sequence[str]
) -> str:
    """A whole suite, with what a reader should know above it."""
    head = [f"# {line}".rstrip() for line in comments]
    body = [check_text(draft) for draft in drafts]
    listed = ["expectations:", *body] if body else ["expectations: []"]
    return "\n".join([*head, f"name: {name}", f"meta: {_flow(meta)}", *listed]) + "\n"


def _scalar(value: object) -> str:
    """Plain words stand as they are; the rest as JSON, which YAML reads."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.casefold() not in _KEYWORDS:
        return value
    if isinstance(value, list):
        return "[" + ", ".join(_scalar(one) for one in value) + "]"
    if isinstance(value, float):
        digits = f"{Decimal(repr(value)):f}"  # suites know no exponents
        return digits if "." in digits else f"{digits}.0"
    return json.dumps(value, ensure_ascii=False)


def _flow(values: Mapping[str, Any]) -> str:
    """A YAML mapping on one line; JSON values are YAML values."""
    parts = (f"{key}: {_scalar(value)}" for key, value in values.items())
    return "{" + ", ".join(parts) + "}"

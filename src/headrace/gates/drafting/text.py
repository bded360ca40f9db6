"""YAML text of a drafted suite."""

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.contracts.authoring.yaml_values import flow
from headrace.gates.drafting.draft import CheckDraft


def check_text(draft: CheckDraft) -> str:
    """Return one expectation as three or four lines of YAML."""
    lines = [f"  - type: {draft.type}", f"    kwargs: {flow(draft.kwargs)}"]
    if draft.severity != "critical":
        lines.append(f"    severity: {draft.severity}")
    lines.append(f"    meta: {flow(draft.meta)}")
    return "\n".join(lines)


def suite_text(
    name: str, meta: Mapping[str, Any], drafts: Sequence[CheckDraft], comments: Sequence[str]
) -> str:
    """Return a complete suite in YAML, below comment lines."""
    head = [f"# {line}".rstrip() for line in comments]
    body = [check_text(draft) for draft in drafts]
    listed = ["expectations:", *body] if body else ["expectations: []"]
    return "\n".join([*head, f"name: {name}", f"meta: {flow(meta)}", *listed]) + "\n"

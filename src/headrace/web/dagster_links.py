"""Addresses of pages in Dagster, for those who may not import Dagster: reports and alerts.

The forms are Dagster's own. Its launchpad takes a run's configuration from the address, opens with
it, and waits for a person to launch.
"""

import json
import os
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from headrace.core.files import write_json
from headrace.core.home import default_root

HOST, PORT = "127.0.0.1", 3000
_ADDRESSES = "addresses.json"  # in the home
# What on-call may do from a browser; each is a job of every code location.
ACTIONS = ("release", "quarantine", "reject", "rerun", "mute", "recall", "restore", "ack")
# What some of them ask beside batch, principal and reason, as it stands in an empty form.
ASKED: Mapping[str, Mapping[str, object]] = {
    "release": {"expires": ""},
    "quarantine": {"checks": [], "lines": []},
    "mute": {"checks": [], "expires": "1d"},
}


def addresses() -> dict[str, str]:
    """The addresses at which `headrace ui` served last: of "dagster" and of "reports"."""
    try:
        found = json.loads((default_root() / _ADDRESSES).read_text())
    except (OSError, ValueError):
        return {}
    return {str(name): str(url) for name, url in found.items()} if isinstance(found, dict) else {}


def remember_addresses(found: Mapping[str, str]) -> None:
    """Let every process of this home link to these addresses, unless its environment has others."""
    write_json(default_root() / _ADDRESSES, dict(found))


def dagster_url() -> str:
    """The address of Dagster: `HEADRACE_DAGSTER_URL`, else where `headrace ui` served it last."""
    found = os.environ.get("HEADRACE_DAGSTER_URL") or addresses().get("dagster")
    return (found or f"http://{HOST}:{PORT}").rstrip("/")


def asset_url(table: str, slot: str = "", base: str | None = None) -> str:
    """The page of a table; one day among its partitions, if `slot` is a day."""
    page = f"{base or dagster_url()}/assets/tables/{quote(table, safe='')}"
    if slot[:1].isdigit():
        return f"{page}?view=partitions&{urlencode({'partition': slot})}"
    return f"{page}?view=checks&checkDetail=gate_block"


def model_url(name: str, base: str | None = None) -> str:
    """The page of a model."""
    return f"{base or dagster_url()}/assets/models/{quote(name, safe='')}"


def job_name(action: str) -> str:
    """What the job of an action is called: as the command, `headrace gate approve`."""
    return f"gate_{action}"


def op_name(action: str) -> str:
    return f"{job_name(action)}__do"


def action_config(action: str, given: Mapping[str, object]) -> dict[str, object]:
    """A run's configuration for the job of an action."""
    return {"ops": {op_name(action): {"config": dict(given)}}}


def empty_form(action: str, **known: object) -> dict[str, object]:
    """The configuration of an action with what is known; what a person types is empty, and last."""
    about = {"table": "", "slot": "", "batch": "", **ASKED.get(action, {})}
    typed = {"principal": "", "reason": ""}
    return action_config(action, {**about, **typed, **known})


def action_url(
    base: str | None,
    action: str,
    table: str,
    batch: str,
    *,
    location: str,
    slot: str = "",
    principal: str = "",
    **more: object,
) -> str:
    """The launchpad of an action, filled in for one batch; the reason is left to be typed.

    Args:
        base: where Dagster answers; `dagster_url()` if None.
        action: one of `ACTIONS`.
        table: whose batch it is.
        batch: its id; "" for an action on the whole table.
        location: the code location, which is called as the pipeline.
        slot: for people; the batch decides.
        principal: who will act, if it is known.
        more: other fields of the job's configuration.
    """
    config = empty_form(action, table=table, slot=slot, batch=batch, principal=principal, **more)
    # JSON is YAML; spelled in lines it is what a person would write.
    text = "\n".join(_lines(config))
    page = f"{base or dagster_url()}/locations/{quote(location, safe='')}/jobs/{job_name(action)}"
    return f"{page}/playground/setup?{urlencode({'config': text}, quote_via=quote)}"


def _lines(value: Mapping[str, object], depth: int = 0) -> list[str]:
    lines: list[str] = []
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            lines += [f"{'  ' * depth}{key}:", *_lines(inner, depth + 1)]
        else:
            lines.append(f"{'  ' * depth}{key}: {json.dumps(inner)}")
    return lines

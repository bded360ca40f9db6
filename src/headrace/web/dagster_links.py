"""URLs of Dagster pages, for code that may not import Dagster: reports and alerts.

The URL formats are Dagster's own. The URL of a launchpad may contain a run configuration: the
launchpad shows it, and a person launches the run.
"""

import json
import os
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from headrace.core.batch_actions import BATCH_ACTIONS
from headrace.core.files import write_json
from headrace.core.home import default_root

HOST, PORT = "127.0.0.1", 3000
_ADDRESSES = "addresses.json"  # in the home
# Actions with a job in every code location, for on-call.
ACTIONS = tuple(name for name, action in BATCH_ACTIONS.items() if action.summary)


def addresses() -> dict[str, str]:
    """Return the URLs last used by `headrace ui`, by name: "dagster" and "reports"."""
    try:
        document = json.loads((default_root() / _ADDRESSES).read_text())
    except (OSError, ValueError):
        return {}
    return (
        {str(name): str(url) for name, url in document.items()}
        if isinstance(document, dict)
        else {}
    )


def remember_addresses(addresses_: Mapping[str, str]) -> None:
    """Store these URLs, so that all processes of this home link to them by default."""
    write_json(default_root() / _ADDRESSES, dict(addresses_))


def dagster_url() -> str:
    """Return Dagster's URL: `HEADRACE_DAGSTER_URL`, else the one last used by `headrace ui`."""
    url = os.environ.get("HEADRACE_DAGSTER_URL") or addresses().get("dagster")
    return (url or f"http://{HOST}:{PORT}").rstrip("/")


def asset_url(table: str, slot: str = "", base: str | None = None) -> str:
    """Return the URL of a table's partition if `slot` is a day, else of the table's checks."""
    page = f"{base or dagster_url()}/assets/tables/{quote(table, safe='')}"
    if slot[:1].isdigit():
        return f"{page}?view=partitions&{urlencode({'partition': slot})}"
    return f"{page}?view=checks&checkDetail=gate_block"


def model_url(name: str, base: str | None = None) -> str:
    """Return the URL of a model's asset page."""
    return f"{base or dagster_url()}/assets/models/{quote(name, safe='')}"


def job_name(action: str) -> str:
    """Return the name of an action's job, such as `gate_release`."""
    return f"gate_{action}"


def op_name(action: str) -> str:
    return f"{job_name(action)}__do"


def action_config(action: str, fields: Mapping[str, object]) -> dict[str, object]:
    """Return the run configuration for the job of an action."""
    return {"ops": {op_name(action): {"config": dict(fields)}}}


def empty_form(action: str, **values: object) -> dict[str, object]:
    """Return the run configuration of an action, with empty fields for a person to fill in."""
    fields = {"table": "", "slot": "", "batch": "", **BATCH_ACTIONS[action].form}
    typed = {"principal": "", "reason": ""}
    return action_config(action, {**fields, **typed, **values})


def action_url(
    base: str | None,
    action: str,
    table: str,
    batch: str,
    *,
    location: str,
    slot: str = "",
    principal: str = "",
    **values: object,
) -> str:
    """Return the launchpad's URL for an action on one batch; a person types the reason there.

    Args:
        base: URL of Dagster; `dagster_url()` if None.
        action: one of `ACTIONS`.
        table: the table of the batch.
        batch: id of the batch; "" for an action on the whole table.
        location: the code location, which has the pipeline's name.
        slot: the partition, for people; the action uses `batch`.
        principal: the acting person, if already identified.
        values: other fields of the job's configuration.
    """
    config = empty_form(action, table=table, slot=slot, batch=batch, principal=principal, **values)
    # JSON values are valid YAML; with one field per line, a person can edit them.
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

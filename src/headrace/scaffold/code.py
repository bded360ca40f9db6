"""The Python of a new pipeline: what goes into the placeholders of its templates."""

import math
from typing import Any

import numpy as np

from headrace.core.clock import DAY, duration, from_us, parse_iso
from headrace.core.time_zones import to_local
from headrace.scaffold.answers import Ask
from headrace.scaffold.contract import moment_name
from headrace.scaffold.files import MARK
from headrace.scaffold.inspection.facts import Facts
from headrace.scaffold.pipeline_choices import Choices

# Windows of a monitor hold enough rows to be compared.
_ENOUGH = 50


def dataset_name(pipeline: str) -> str:
    return f"{pipeline}_outlook"


def table_entry(ask: Ask, *, every_day: bool) -> str:
    whole = ", partitioned=False" if ask.snapshot else ""
    daily = ", every_day=True" if every_day else ""
    return f'table("{ask.table_name}", folder{whole}{daily}),'


def view_hint(found: Facts) -> str:
    """How a further table becomes features."""
    ask = found.look.ask
    names = [column.name for column in found.look.columns if column not in found.look.key]
    times = {column.name for column in found.look.times}
    names = [name for name in names if name not in times] or ["<column>"]
    entity = _tuple([column.name for column in found.look.entity or found.look.key])
    if ask.kind == "state":
        shown = _tuple(names[:2])
        return f'Lookup("{ask.table_name}", "{ask.table_name}", {entity}, {shown}, max_age=None)'
    return f'FeatureView("{ask.table_name}", "{ask.table_name}", {entity}, (Rows(SHORT),))'


def values(name: str, found: Facts, chosen: Choices) -> dict[str, Any]:
    """Every placeholder of the pipeline's templates."""
    ask, moment = found.look.ask, moment_name(found.look)
    calendars = ["weekday", "month"] if found.look.form.dates else ["hour", "weekday", "month"]
    window_days = _window_days(found)
    return {
        "name": name,
        "NAME": name.upper(),
        "table": ask.table_name,
        "zone": ask.zone,
        "key": _tuple([column.name for column in found.look.key]),
        "entity": _tuple(chosen.entity),
        "entity_todo": "  # TODO: guessed" if chosen.entity_is_guess else "",
        "whose": f"the same {', '.join(found.look.ask.entity or chosen.entity)}"
        if not chosen.whole
        else "the whole table",
        # a table has its name alone in a project, and so has the view in the graph
        "view": ask.table_name,
        "spine_columns": _tuple(dict.fromkeys([*chosen.entity, moment])),
        "moment": moment,
        "offset": chosen.offset,
        "short": chosen.windows[0],
        "long": chosen.windows[1],
        "features": "\n".join(f"            {line}" for line in _features(chosen)),
        "imports": "\n".join(f"    {import_}," for import_ in _imports(chosen)),
        "calendars": "\n".join(
            f'    calendar("at_{part}", "{moment}", "{part}", ZONE),' for part in calendars
        ),
        "calendar_names": ", ".join(f'"at_{part}"' for part in calendars),
        "horizon": chosen.horizon,
        "settle": chosen.settle,
        "maturity": f"{(duration(chosen.horizon) + duration(chosen.settle)) // duration('1s')}s",
        "target": chosen.target,
        "dataset": dataset_name(name),
        "model": f"{name}_model",
        "context": _tuple(chosen.context),
        "segments": _tuple(chosen.context or ("at_month",)),
        "leaf": max(5, min(100, found.table.num_rows // 100)),
        **_privacy(found, chosen),
        "train_until": chosen.train_until,
        "valid_until": chosen.valid_until,
        "cutoff": chosen.cutoff,
        "first_day": found.days[0],
        "last_day": found.days[-1],
        "entry": table_entry(ask, every_day=found.every_day),
        "mark": MARK,
        "anchor": found.days[0],
        "window_days": window_days,
        "offset_hours": _offset(found),
        "exclude": _tuple(_unwatched(found, chosen)),
        "stale": f"{_stale_days(found)}d",
        "cool_down": f"{4 * window_days}d",
        "warmup_days": 4 * window_days,
    }


def _privacy(found: Facts, chosen: Choices) -> dict[str, str]:
    """Return the privacy treatment of personal columns, and the import for it."""
    keys = {column.name for column in found.look.key}
    personal = sorted(found.look.personal & {*keys, *chosen.entity})
    if not personal:
        return {"privacy": "", "privacy_import": ""}
    treatments = {
        name: 'Keep("TODO: why may the key be released as it is?")' if name in keys else "Drop()"
        for name in personal
    }
    inner = ", ".join(f'"{name}": {made}' for name, made in treatments.items())
    used = sorted({made.partition("(")[0] for made in treatments.values()})
    comment = "    # Personal; Pseudonymise() needs a privacy key."
    return {
        "privacy": f"{comment}\n    privacy={{{inner}}},\n",
        "privacy_import": f"from headrace.datasets.governance.privacy import {', '.join(used)}\n",
    }


def _features(chosen: Choices) -> list[str]:
    lines = ["Rows(SHORT),", "Rows(LONG),", f'Mean("{chosen.target}", LONG),']
    for measure in chosen.measures:
        if measure != chosen.target:
            lines += [f'Mean("{measure}", {window}),' for window in ("SHORT", "LONG")]
            lines += [f'{one}("{measure}", LONG),' for one in ("Std", "Max", "Last")]
    return lines + [f'Last("{text}", LONG),' for text in chosen.texts]


def _imports(chosen: Choices) -> list[str]:
    used = {"Mean", "Rows", "FeatureView", "Spine", "Window"}
    used |= {"Last", "Std", "Max"} if any(m != chosen.target for m in chosen.measures) else set()
    used |= {"Last"} if chosen.texts else set()
    return [*sorted(used), "calendar"]


def _unwatched(found: Facts, chosen: Choices) -> list[str]:
    """Ids say nothing about the population; outcomes are judged with scores.

    A new month is no drift. Hour and weekday stay: each window has all of them.
    """
    ids = [column.name for column in found.look.key]
    entity = [] if chosen.context else list(chosen.entity)
    moment = moment_name(found.look)
    told = [*ids, *entity, moment, chosen.target, "label_reason", "at_month"]
    return list(dict.fromkeys(told))


def _window_days(found: Facts) -> int:
    per_day = found.table.num_rows / found.span_days
    return next((days for days in (7, 28) if days * per_day >= _ENOUGH), 28)


def _stale_days(found: Facts) -> int:
    """Three times the longest silence that was seen."""
    days = np.unique(found.day_numbers)
    longest = int(np.diff(days).max()) if len(days) > 1 else 1
    return 3 * longest


def _offset(found: Facts) -> str:
    """The zone's winter offset, in hours: days then begin near its midnight."""
    january = parse_iso(f"{from_us(int(found.event_us[0])).year}-01-15")
    local = int(to_local(np.array([january]), found.look.ask.zone)[0])
    return f"{math.floor((local - january) / (DAY // 24))}h"


def _tuple(names: "list[str] | tuple[str, ...] | dict[str, None]") -> str:
    quoted = [f'"{name}"' for name in names]
    return f"({', '.join(quoted)}{',' if len(quoted) == 1 else ''})"

"""Python code of a new pipeline: the values of the placeholders in its templates."""

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

# Least number of rows that a monitoring window should hold on average.
_ENOUGH = 50


def dataset_name(pipeline: str) -> str:
    return f"{pipeline}_outlook"


def table_entry(ask: Ask, *, every_day: bool) -> str:
    snapshot = ", partitioned=False" if ask.snapshot else ""
    daily = ", every_day=True" if every_day else ""
    return f'table("{ask.table_name}", folder{snapshot}{daily}),'


def view_hint(facts: Facts) -> str:
    """Return example code of a feature view or lookup over an added table, as a hint."""
    ask = facts.look.ask
    names = [column.name for column in facts.look.columns if column not in facts.look.key]
    times = {column.name for column in facts.look.times}
    names = [name for name in names if name not in times] or ["<column>"]
    entity = _tuple([column.name for column in facts.look.entity or facts.look.key])
    if ask.kind == "state":
        columns = _tuple(names[:2])
        return f'Lookup("{ask.table_name}", "{ask.table_name}", {entity}, {columns}, max_age=None)'
    return f'FeatureView("{ask.table_name}", "{ask.table_name}", {entity}, (Rows(SHORT),))'


def table_values(name: str, facts: Facts) -> dict[str, Any]:
    """Return the value of every placeholder in the templates of a pipeline of tables alone."""
    return {
        "name": name,
        "NAME": name.upper(),
        "first_day": facts.days[0],
        "last_day": facts.days[-1],
        "entry": table_entry(facts.look.ask, every_day=facts.every_day),
        "mark": MARK,
    }


def values(name: str, facts: Facts, choices: Choices) -> dict[str, Any]:
    """Return the value of every placeholder in the pipeline's templates."""
    ask, moment = facts.look.ask, moment_name(facts.look)
    calendars = ["weekday", "month"] if facts.look.form.dates else ["hour", "weekday", "month"]
    window_days = _window_days(facts)
    return {
        **table_values(name, facts),
        "table": ask.table_name,
        "zone": ask.zone,
        "key": _tuple([column.name for column in facts.look.key]),
        "entity": _tuple(choices.entity),
        "entity_todo": "  # TODO: guessed" if choices.entity_is_guess else "",
        "whose": f"the same {', '.join(facts.look.ask.entity or choices.entity)}"
        if not choices.whole_table
        else "the whole table",
        # table names are unique in a project, so the view's name is unique in the asset graph
        "view": ask.table_name,
        "spine_columns": _tuple(dict.fromkeys([*choices.entity, moment])),
        "moment": moment,
        "offset": choices.offset,
        "short": choices.windows[0],
        "long": choices.windows[1],
        "features": "\n".join(f"            {line}" for line in _features(choices)),
        "imports": "\n".join(f"    {import_}," for import_ in _imports(choices)),
        "calendars": "\n".join(
            f'    calendar("at_{part}", "{moment}", "{part}", ZONE),' for part in calendars
        ),
        "calendar_names": ", ".join(f'"at_{part}"' for part in calendars),
        "horizon": choices.horizon,
        "settle": choices.settle,
        "maturity": f"{(duration(choices.horizon) + duration(choices.settle)) // duration('1s')}s",
        "target": choices.target,
        "dataset": dataset_name(name),
        "model": f"{name}_model",
        "context": _tuple(choices.context),
        "segments": _tuple(choices.context or ("at_month",)),
        "leaf": max(5, min(100, facts.table.num_rows // 100)),
        **_privacy(facts, choices),
        "train_until": choices.train_until,
        "valid_until": choices.valid_until,
        "cutoff": choices.cutoff,
        "anchor": facts.days[0],
        "window_days": window_days,
        "offset_hours": _offset(facts),
        "exclude": _tuple(_unmonitored_columns(facts, choices)),
        "stale": f"{_stale_days(facts)}d",
        "cool_down": f"{4 * window_days}d",
        "warmup_days": 4 * window_days,
    }


def _privacy(facts: Facts, choices: Choices) -> dict[str, str]:
    """Return the `privacy` argument for personal key and entity columns, and its import line."""
    keys = {column.name for column in facts.look.key}
    personal = sorted(facts.look.personal & {*keys, *choices.entity})
    if not personal:
        return {"privacy": "", "privacy_import": ""}
    treatments = {
        name: 'Keep("TODO: why may the key be released as it is?")' if name in keys else "Drop()"
        for name in personal
    }
    inner = ", ".join(f'"{name}": {treatment}' for name, treatment in treatments.items())
    used = sorted({treatment.partition("(")[0] for treatment in treatments.values()})
    comment = "    # Personal; Pseudonymise() needs a privacy key."
    return {
        "privacy": f"{comment}\n    privacy={{{inner}}},\n",
        "privacy_import": f"from headrace.datasets.governance.privacy import {', '.join(used)}\n",
    }


def _features(choices: Choices) -> list[str]:
    lines = ["Rows(SHORT),", "Rows(LONG),", f'Mean("{choices.target}", LONG),']
    for measure in choices.measures:
        if measure != choices.target:
            lines += [f'Mean("{measure}", {window}),' for window in ("SHORT", "LONG")]
            lines += [f'{statistic}("{measure}", LONG),' for statistic in ("Std", "Max", "Last")]
    return lines + [f'Last("{text}", LONG),' for text in choices.texts]


def _imports(choices: Choices) -> list[str]:
    used = {"Mean", "Rows", "FeatureView", "Spine", "Window"}
    used |= {"Last", "Std", "Max"} if any(m != choices.target for m in choices.measures) else set()
    used |= {"Last"} if choices.texts else set()
    return [*sorted(used), "calendar"]


def _unmonitored_columns(facts: Facts, choices: Choices) -> list[str]:
    """Return the columns that monitors exclude.

    These are ids, the label (model monitoring compares it with scores) and the month (a new month
    is not drift). Hour and weekday are monitored, since every window contains all their values.
    """
    ids = [column.name for column in facts.look.key]
    entity = [] if choices.context else list(choices.entity)
    moment = moment_name(facts.look)
    excluded = [*ids, *entity, moment, choices.target, "label_reason", "at_month"]
    return list(dict.fromkeys(excluded))


def _window_days(facts: Facts) -> int:
    per_day = facts.table.num_rows / facts.span_days
    return next((days for days in (7, 28) if days * per_day >= _ENOUGH), 28)


def _stale_days(facts: Facts) -> int:
    """Return three times the longest gap between days with rows, in days."""
    days = np.unique(facts.day_numbers)
    longest = int(np.diff(days).max()) if len(days) > 1 else 1
    return 3 * longest


def _offset(facts: Facts) -> str:
    """Return the zone's UTC offset in January ("-5h"), so that days begin near local midnight."""
    january = parse_iso(f"{from_us(int(facts.event_us[0])).year}-01-15")
    local = int(to_local(np.array([january]), facts.look.ask.zone)[0])
    return f"{math.floor((local - january) / (DAY // 24))}h"


def _tuple(names: "list[str] | tuple[str, ...] | dict[str, None]") -> str:
    quoted = [f'"{name}"' for name in names]
    return f"({', '.join(quoted)}{',' if len(quoted) == 1 else ''})"

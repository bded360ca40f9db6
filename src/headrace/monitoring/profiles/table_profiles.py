"""Daily profiles of tables, merged from the profiles of their batches without reading rows.

A batch is profiled as delivered, so quarantined rows are included. A correction repeats rows of the
batch that it corrects; both were delivered, so both are part of the day's profile.
"""

from collections.abc import Mapping

import numpy as np

from headrace.contracts.drift import sketches_of
from headrace.core.home import Home
from headrace.lake.profiles import load_profiles
from headrace.monitoring.evidence.model import day_number
from headrace.monitoring.profiles.profiles import Daily
from headrace.sketches import joined, regrouped


def table_daily(home: Home, table: str, batches: Mapping[str, str]) -> Daily:
    """Return the daily sketches of some batches of a table.

    Args:
        home: Headrace home with the profiles of the batches.
        table: name of the table.
        batches: {batch id: slot}, with ISO days as slots. Batches without a profile are skipped:
            batches of events, and objects that are validated in place.
    """
    profiles = load_profiles(home, table, batches)
    day = np.array([day_number(batches[profile]) for profile in profiles], np.int64)
    days, place = np.unique(day, return_inverse=True)
    rows = np.zeros(len(days), np.int64)
    np.add.at(rows, place, np.array([profile.rows for profile in profiles.values()], np.int64))
    parts = [sketches_of(profile) for profile in profiles.values()]
    columns = {}
    for name in dict.fromkeys(name for part in parts for name in part):
        sketches = [(at, part[name]) for at, part in zip(place, parts, strict=True) if name in part]
        # a new contract may change the type; the type of the latest batch is used
        kind = max(sketches, key=lambda pair: pair[0])[1].kind
        matching = [(at, sketch) for at, sketch in sketches if sketch.kind == kind]
        group = np.array([at for at, _ in matching])
        columns[name] = regrouped(joined([sketch for _, sketch in matching]), group, len(days))
    return Daily(days, rows, columns)

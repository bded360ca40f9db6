"""Daily profiles of tables: what their batches left when they were judged; no row is read again.

A batch is profiled as it was delivered, with the rows that went into quarantine, and a correction
repeats rows of what it corrects: both are part of the day's profile, as both were delivered.
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
    """The daily sketches of some batches of a table.

    Args:
        home: where the profiles of batches live.
        table: its name.
        batches: {batch id: slot}, slots being ISO days. Those without a profile are left out:
            events and files that are judged where they lie have none.
    """
    profiles = load_profiles(home, table, batches)
    day = np.array([day_number(batches[profile]) for profile in profiles], np.int64)
    days, place = np.unique(day, return_inverse=True)
    rows = np.zeros(len(days), np.int64)
    np.add.at(rows, place, np.array([profile.rows for profile in profiles.values()], np.int64))
    parts = [sketches_of(profile) for profile in profiles.values()]
    columns = {}
    for name in dict.fromkeys(name for part in parts for name in part):
        some = [(at, part[name]) for at, part in zip(place, parts, strict=True) if name in part]
        kind = max(some, key=lambda one: one[0])[1].kind  # a type may change with its contract
        same = [(at, one) for at, one in some if one.kind == kind]
        group = np.array([at for at, _ in same])
        columns[name] = regrouped(joined([one for _, one in same]), group, len(days))
    return Daily(days, rows, columns)

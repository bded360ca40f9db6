"""Retention of a release, from the contracts of its input tables.

A contract declares its retention as in ODCS, the Open Data Contract Standard:

    slaProperties:
      - {property: retention, value: 3, unit: y}

The retention period of each table starts at the earliest prediction time in the release; the
shortest one applies. After its end the release can be opened only with a reason, which is recorded.
`headrace dataset retire` removes the release for good.
"""

from collections.abc import Mapping
from typing import Any

from headrace.core.clock import DAY, HOUR, MINUTE, iso
from headrace.core.errors import DeclarationError

_UNITS = {
    "minute": MINUTE,
    "hour": HOUR,
    "day": DAY,
    "week": 7 * DAY,
    # Retention is an upper limit, so months and years count as their shortest length.
    "month": 28 * DAY,
    "year": 365 * DAY,
}
_SPELLED = {
    "m": "minute",
    "min": "minute",
    "h": "hour",
    "hr": "hour",
    "d": "day",
    "w": "week",
    "wk": "week",
    "mo": "month",
    "mth": "month",
    "y": "year",
    "yr": "year",
}


def retention_us(document: Mapping[str, Any], where: str = "") -> int | None:
    """Shortest retention that a contract declares, in microseconds; None without one.

    Args:
        document: the contract as parsed from YAML.
        where: the file of the contract, for messages.

    Raises:
        DeclarationError: the declared retention is not a period.
    """
    periods = [
        _period(entry, where)
        for entry in document.get("slaProperties") or ()
        if isinstance(entry, Mapping) and entry.get("property") == "retention"
    ]
    return min(periods, default=None)


def _period(entry: Mapping[str, Any], where: str) -> int:
    value, unit = entry.get("value"), str(entry.get("unit") or "").lower()
    unit_name = _SPELLED.get(unit, unit.removesuffix("s"))
    number = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    if not number or unit_name not in _UNITS:
        raise DeclarationError(
            f"retention is {value!r} {entry.get('unit')!r}, which is not a period",
            where=f"{where}: slaProperties" if where else "slaProperties",
            fix="as in {property: retention, value: 3, unit: y}; units: " + ", ".join(_UNITS),
        )
    return int(float(str(value)) * _UNITS[unit_name])


def retention_of(
    name: str, periods: Mapping[str, int | None], first_t: int | None, cutoff: int
) -> dict[str, Any]:
    """Retention entry of the manifest: `{"until_us", "because"}`; empty if no table limits it.

    Args:
        name: name of the dataset.
        periods: table -> microseconds its rows may be kept, or None.
        first_t: the earliest prediction time in the release, microseconds UTC; None without rows.
        cutoff: the last moment whose rows and labels the release uses.

    Raises:
        DeclarationError: the oldest rows were already past their retention at the cutoff.
    """
    limits = {table: period for table, period in periods.items() if period is not None}
    if not limits or first_t is None:
        return {}
    table = min(limits, key=lambda limit: (limits[limit], limit))
    until = first_t + limits[table]
    because = f"{table} may be kept for {_days(limits[table])}, and the oldest row is of "
    if until <= cutoff:
        raise DeclarationError(
            f"{name} would hold rows that may no longer be kept: {because}{iso(first_t)}",
            where=f"contract of {table}, slaProperties: retention",
            fix=f"begin the spine after {iso(cutoff - limits[table])}, or agree a longer retention",
        )
    return {"until_us": until, "because": because + iso(first_t)}


def is_expired(retention: Mapping[str, Any], now: int) -> bool:
    """True if a manifest's `retention` has ended at `now` (microseconds UTC)."""
    until = retention.get("until_us")
    return until is not None and now >= until


def retention_text(retention: Mapping[str, Any]) -> str:
    """Sentence on the end of the retention and its reason; "" if there is no limit."""
    if not retention:
        return ""
    return f"to be kept until {iso(retention['until_us'])}: {retention['because']}"


def _days(us: int) -> str:
    return f"{us // DAY:,} days" if us >= DAY else f"{us // HOUR} hours"

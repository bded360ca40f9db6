"""What can be wrong with a batch of a table, from its contract alone.

Magnitudes are fixed: units by their true factors, on a whole column and on the rows of one level;
0.5% of rows repeated, stale or sentinel; a tenth cut off; clocks one hour off; six hours stuck; a
new level for 1% of rows; one level under another name; every pair of columns of one type exchanged;
columns renamed singly and all at once.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import combinations

from headrace.contracts import Contract
from headrace.contracts.drift.unit_conversions import UnitConversion, conversions
from headrace.contracts.model import Derivation, Field, Sql
from headrace.sources.rows import RawRows
from headrace.verification.injected_faults import injectors as plant
from headrace.verification.injected_faults.clean_batch import Day

Plant = Callable[[Day], RawRows | None]
# What a producer really changes to, by declared unit.
_LIKELY = {
    "mile": ("kilometre",), "inch": ("millimetre",), "mph": ("knot", "km/h", "m/s"),
    "degF": ("degC",), "minute": ("second", "hour"), "mbar": ("inHg",), "percent": ("fraction",),
    "degree": ("radian",), "foot": ("metre",), "metre": ("foot",), "dollar": ("cent",),
}  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """One fault of one table.

    Attributes:
        kind: the name detection has to give it.
        label: kind and variant, for people.
        plant: the batch with the fault; None where it would change nothing.
        columns: what the finding has to name; empty if any will do.
        keyed: whether a declared explanation, relation or invariant reaches the columns.
        evidence: what of a finding's evidence has to agree, such as the unit it is now in.
        accept: other kinds that are as right.
    """

    kind: str
    label: str
    plant: Plant
    columns: tuple[str, ...] = ()
    keyed: bool = False
    evidence: Mapping[str, object] = field(default_factory=dict, hash=False)
    accept: tuple[str, ...] = ()


def faults_of(contract: Contract) -> list[Fault]:
    """Every fault of the table, in a fixed order."""
    found = [*_units(contract), *_rows(contract), *_times(contract), *_values(contract)]
    found += [*_levels(contract), *_swaps(contract), *_renames(contract), *_texts(contract)]
    return found


def reached(contract: Contract, names: Sequence[str]) -> bool:
    """Whether something declared says what the values of one of these columns have to be."""
    if any(contract.field(name).explained_by for name in names):
        return True
    inputs: list[AbstractSet[str]] = [r.expression.inputs for r in contract.relations]
    inputs += [_delivered(contract, _words(i.expression)) for i in contract.invariants]
    return any(set(names) & found for found in inputs)


def _words(expression: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", expression))


def _delivered(contract: Contract, names: set[str]) -> set[str]:
    """The delivered columns that these are, or are derived from."""
    found: set[str] = set()
    by_name = {f.name: f for f in contract.columns}
    todo = [name for name in names if name in by_name]
    while todo:
        one = by_name[todo.pop()]
        if one.derivation is None:
            found.add(one.name)
        else:
            todo += [n for n in _inputs(one.derivation) if n in by_name and n not in found]
    return found


def _inputs(rule: Derivation) -> set[str]:
    if isinstance(rule, Sql):
        return set(rule.inputs)
    return {v for v in vars(rule).values() if isinstance(v, str)}


def _of_units(contract: Contract) -> list[tuple[Field, UnitConversion]]:
    return [
        (f, conversion)
        for f in contract.delivered
        if f.type in {"integer", "number"} and f.unit not in {None, "HHMM"}
        for conversion in conversions(f.unit)
        if conversion.other in _LIKELY.get(f.unit or "", ())
    ]


def _units(contract: Contract) -> list[Fault]:
    slices = plant.slice_column(contract)
    units = []
    for f, conversion in _of_units(contract):
        keyed = reached(contract, [f.name])
        says = {"to": conversion.other}
        for by in (None, slices) if slices else (None,):
            label = f"unit: {f.name} in {conversion.other}" + (f", rows of one {by}" if by else "")
            planted = plant.unit(f, conversion, by)
            units.append(Fault("unit_change", label, planted, (f.name,), keyed, says))
    return units


def _rows(contract: Contract) -> list[Fault]:
    keyed = bool(contract.primary_key)
    return [
        Fault("duplicates", "duplicates: 0.5% of rows", plant.duplicates, keyed=keyed),
        Fault("stale_rows", "stale rows: 0.5%", plant.stale, keyed=keyed),
        Fault("truncation", "truncation: the last tenth", plant.truncation),
        Fault("missing_hours", "missing hours: three of the fullest", plant.missing_hours),
    ]


def _times(contract: Contract) -> list[Fault]:
    clocks = tuple(f.name for f in contract.delivered if f.unit == "HHMM")
    moments = tuple(f.name for f in contract.delivered if f.type == "timestamp")
    groups: list[tuple[str, ...]] = [(name,) for name in (*clocks, *moments)]
    groups += [group for group in (clocks, moments) if len(group) > 1]
    times = [
        Fault(
            "zone_shift",
            f"zone: {' and '.join(group)} one hour late",
            plant.zone(group),
            group,
            reached(contract, group),
            {"hours": 1},
        )
        for group in groups
    ]
    times += [
        Fault(
            "timestamp_precision",
            f"precision: {name} in whole hours",
            plant.whole_hours(name),
            (name,),
            reached(contract, [name]),
        )
        for name in clocks
    ]
    times += [
        Fault("timestamp_precision", f"precision: {name} as epoch", plant.epoch(name), (name,))
        for name in moments
    ]
    return times


def _values(contract: Contract) -> list[Fault]:
    found = []
    for f in contract.delivered:
        numeric = f.type in {"integer", "number"} and f.name not in contract.primary_key
        values: tuple[str, ...] = ("-999", "9999") if numeric and not _date(f) else ()
        if f.type == "string":
            values = ("UNKNOWN",)
        keyed = reached(contract, [f.name])
        found += [
            Fault(
                "sentinel",
                f"sentinel: {value} in {f.name}",
                plant.sentinel(f.name, value),
                (f.name,),
                keyed,
            )
            for value in values
        ]
    return [*found, *_frozen(contract)]


def _date(f: Field) -> bool:
    """A part of a date: its zone is declared and its unit is not that of a clock."""
    return f.zone is not None and f.unit != "HHMM"


def _frozen(contract: Contract) -> list[Fault]:
    sensors = plant.sensors(contract)
    if not sensors:
        return []
    everything = Fault("frozen", "frozen: a whole station, 6 h", plant.frozen(sensors), ())
    return [
        everything,
        *(
            Fault(
                "frozen",
                f"frozen: {name}, 6 h",
                plant.frozen((name,)),
                (name,),
                reached(contract, [name]),
            )
            for name in sensors
        ),
    ]


def _levels(contract: Contract) -> list[Fault]:
    levels = []
    for f in contract.delivered:
        if f.type == "string":
            keyed = reached(contract, [f.name])
            levels += [
                Fault(
                    "new_level", f"new level: 1% of {f.name}", plant.new_level(f.name), (f.name,)
                ),
                Fault(
                    "recoding", f"recoding: a level of {f.name}", plant.recoding(f.name), (f.name,),
                    keyed,
                ),
            ]  # fmt: skip
    return levels


def _swaps(contract: Contract) -> list[Fault]:
    return [
        Fault(
            "swap",
            f"swap: {a.name} and {b.name}",
            plant.swap(a.name, b.name),
            (a.name, b.name),
            reached(contract, [a.name, b.name]),
        )
        for a, b in combinations(contract.delivered, 2)
        if a.type == b.type
    ]


def _renames(contract: Contract) -> list[Fault]:
    names = [f.name for f in contract.delivered]
    single = [Fault("rename", f"rename: {name}", plant.rename((name,)), (name,)) for name in names]
    return [*single, Fault("rename", "rename: all columns", plant.rename(tuple(names)), ())]


def _texts(contract: Contract) -> list[Fault]:
    return [
        Fault("decimal_comma", f"decimal comma: {f.name}", plant.comma(f.name), (f.name,))
        for f in contract.delivered
        if f.type == "number"
    ]

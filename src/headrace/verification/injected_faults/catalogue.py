"""Faults that a batch of a table can have, derived from the table's contract.

Magnitudes are fixed: units converted by their true factors, in a whole column or in the rows of one
category; 0.5% of rows duplicated, stale or with a sentinel value; the last tenth of the rows cut
off; clocks one hour off; sensors stuck for six hours; a new category in 1% of rows; one category
renamed; each pair of columns of the same type swapped; columns renamed singly and all at once.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Literal

from headrace.contracts import Contract
from headrace.contracts.drift.unit_conversions import UnitConversion, conversions
from headrace.contracts.model import Derivation, Field, Sql
from headrace.sources.rows import RawRows
from headrace.verification.injected_faults import injectors as plant
from headrace.verification.injected_faults.clean_batch import Day

Plant = Callable[[Day], RawRows | None]
Scope = Literal["batch", "part"]
# Kinds of faults that are injected in some of the rows only.
_PARTS = {
    "duplicates", "frozen", "missing_hours", "new_level", "recoding", "sentinel", "stale_rows",
}  # fmt: skip
# Declared unit -> units to which a producer might realistically change.
_LIKELY = {
    "mile": ("kilometre",), "inch": ("millimetre",), "mph": ("knot", "km/h", "m/s"),
    "degF": ("degC",), "minute": ("second", "hour"), "mbar": ("inHg",), "percent": ("fraction",),
    "degree": ("radian",), "foot": ("metre",), "metre": ("foot",), "dollar": ("cent",),
}  # fmt: skip


@dataclass(frozen=True)
class InjectedFault:
    """One fault of one table.

    Attributes:
        kind: the kind that a finding must have to identify the fault.
        scope: "part" if only some rows are altered, added or missing.
        label: display name: kind and variant.
        plant: injects the fault in a batch; returns None if it would change nothing.
        columns: the columns that a finding must name; empty if any columns are accepted.
        keyed: True if a declared explanation, relation or invariant constrains the columns.
        evidence: evidence that a finding must have, such as the new unit.
        accept: other accepted kinds.
    """

    kind: str
    label: str
    plant: Plant
    columns: tuple[str, ...] = ()
    keyed: bool = False
    evidence: Mapping[str, object] = field(default_factory=dict, hash=False)
    accept: tuple[str, ...] = ()
    scope: Scope = "batch"


def faults_of(contract: Contract) -> list[InjectedFault]:
    """Return every fault of the table, in a fixed order."""
    faults = [*_units(contract), *_rows(contract), *_times(contract), *_values(contract)]
    faults += [*_levels(contract), *_swaps(contract), *_renames(contract), *_texts(contract)]
    return [replace(fault, scope="part") if fault.kind in _PARTS else fault for fault in faults]


def reached(contract: Contract, names: Sequence[str]) -> bool:
    """Return True if an explanation, relation or invariant constrains one of these columns."""
    if any(contract.field(name).explained_by for name in names):
        return True
    inputs: list[AbstractSet[str]] = [r.expression.inputs for r in contract.relations]
    inputs += [_delivered(contract, _words(i.expression)) for i in contract.invariants]
    return any(set(names) & columns for columns in inputs)


def _words(expression: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", expression))


def _delivered(contract: Contract, names: set[str]) -> set[str]:
    """Return the delivered columns among `names`; replace derived columns by their inputs."""
    delivered: set[str] = set()
    by_name = {f.name: f for f in contract.columns}
    todo = [name for name in names if name in by_name]
    while todo:
        column = by_name[todo.pop()]
        if column.derivation is None:
            delivered.add(column.name)
        else:
            todo += [n for n in _inputs(column.derivation) if n in by_name and n not in delivered]
    return delivered


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


def _units(contract: Contract) -> list[InjectedFault]:
    slices = plant.slice_column(contract)
    units = []
    for f, conversion in _of_units(contract):
        keyed = reached(contract, [f.name])
        evidence = {"to": conversion.other}
        for by in (None, slices) if slices else (None,):
            label = f"unit: {f.name} in {conversion.other}" + (f", rows of one {by}" if by else "")
            planted = plant.unit(f, conversion, by)
            change = InjectedFault("unit_change", label, planted, (f.name,), keyed, evidence)
            units.append(replace(change, scope="part") if by else change)
    return units


def _rows(contract: Contract) -> list[InjectedFault]:
    keyed = bool(contract.primary_key)
    return [
        InjectedFault("duplicates", "duplicates: 0.5% of rows", plant.duplicates, keyed=keyed),
        InjectedFault("stale_rows", "stale rows: 0.5%", plant.stale, keyed=keyed),
        InjectedFault("truncation", "truncation: the last tenth", plant.truncation),
        InjectedFault("missing_hours", "missing hours: three of the fullest", plant.missing_hours),
    ]


def _times(contract: Contract) -> list[InjectedFault]:
    clocks = tuple(f.name for f in contract.delivered if f.unit == "HHMM")
    moments = tuple(f.name for f in contract.delivered if f.type == "timestamp")
    groups: list[tuple[str, ...]] = [(name,) for name in (*clocks, *moments)]
    groups += [group for group in (clocks, moments) if len(group) > 1]
    times = [
        InjectedFault(
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
        InjectedFault(
            "timestamp_precision",
            f"precision: {name} in whole hours",
            plant.whole_hours(name),
            (name,),
            reached(contract, [name]),
        )
        for name in clocks
    ]
    times += [
        InjectedFault(
            "timestamp_precision", f"precision: {name} as epoch", plant.epoch(name), (name,)
        )
        for name in moments
    ]
    return times


def _values(contract: Contract) -> list[InjectedFault]:
    faults = []
    for f in contract.delivered:
        numeric = f.type in {"integer", "number"} and f.name not in contract.primary_key
        values: tuple[str, ...] = ("-999", "9999") if numeric and not _date(f) else ()
        if f.type == "string":
            values = ("UNKNOWN",)
        keyed = reached(contract, [f.name])
        faults += [
            InjectedFault(
                "sentinel",
                f"sentinel: {value} in {f.name}",
                plant.sentinel(f.name, value),
                (f.name,),
                keyed,
            )
            for value in values
        ]
    return [*faults, *_frozen(contract)]


def _date(f: Field) -> bool:
    """Return True for a part of a date: a field with a zone that is not a clock time."""
    return f.zone is not None and f.unit != "HHMM"


def _frozen(contract: Contract) -> list[InjectedFault]:
    sensors = plant.sensors(contract)
    if not sensors:
        return []
    everything = InjectedFault("frozen", "frozen: a whole station, 6 h", plant.frozen(sensors), ())
    return [
        everything,
        *(
            InjectedFault(
                "frozen",
                f"frozen: {name}, 6 h",
                plant.frozen((name,)),
                (name,),
                reached(contract, [name]),
            )
            for name in sensors
        ),
    ]


def _levels(contract: Contract) -> list[InjectedFault]:
    levels = []
    for f in contract.delivered:
        if f.type == "string":
            keyed = reached(contract, [f.name])
            levels += [
                InjectedFault(
                    "new_level", f"new level: 1% of {f.name}", plant.new_level(f.name), (f.name,)
                ),
                InjectedFault(
                    "recoding", f"recoding: a level of {f.name}", plant.recoding(f.name), (f.name,),
                    keyed,
                ),
            ]  # fmt: skip
    return levels


def _swaps(contract: Contract) -> list[InjectedFault]:
    return [
        InjectedFault(
            "swap",
            f"swap: {a.name} and {b.name}",
            plant.swap(a.name, b.name),
            (a.name, b.name),
            reached(contract, [a.name, b.name]),
        )
        for a, b in combinations(contract.delivered, 2)
        if a.type == b.type
    ]


def _renames(contract: Contract) -> list[InjectedFault]:
    names = [f.name for f in contract.delivered]
    single = [
        InjectedFault("rename", f"rename: {name}", plant.rename((name,)), (name,)) for name in names
    ]
    return [*single, InjectedFault("rename", "rename: all columns", plant.rename(tuple(names)), ())]


def _texts(contract: Contract) -> list[InjectedFault]:
    return [
        InjectedFault("decimal_comma", f"decimal comma: {f.name}", plant.comma(f.name), (f.name,))
        for f in contract.delivered
        if f.type == "number"
    ]

"""Which columns of which tables a released column comes from, and by what: from declarations alone.

Each input of a column is *direct*, where its values flow into the column's (identity,
transformation, aggregation), or *indirect*, where it decides which values do: the entity (join),
the event time (window), the known-at and a filter (filter), an excluded status (conditional). These
are the words of OpenLineage, so that its events say the same.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from headrace.contracts.model import Contract, Derivation, Sql
from headrace.features.spec import (
    Aggregate,
    FeatureView,
    Label,
    Lookup,
    RowTransform,
    Spine,
    View,
    conditions,
)

FORMAT = 1
Kind: TypeAlias = Literal["DIRECT", "INDIRECT"]
DIRECT: Kind = "DIRECT"
INDIRECT: Kind = "INDIRECT"
# A last or first value is one of the column's own, picked by order.
_PICKED = frozenset({"first", "last", "last_row", "min", "max"})


@dataclass(frozen=True, order=True)
class Input:
    """One column that a released column comes from: `kind` and `subtype` as in OpenLineage."""

    table: str
    column: str
    kind: Kind
    subtype: str
    what: str = ""


@dataclass(frozen=True)
class Declared:
    """What the columns follow from; `privacy` is what the manifest says of treatments."""

    spine: Spine
    views: tuple[View, ...]
    label: Label
    contracts: Mapping[str, Contract]
    privacy: Mapping[str, Mapping[str, str]]


def column_lineage(declared: Declared) -> dict[str, Any]:
    """The document that a manifest names by its digest.

    Returns:
        {"format", "columns": {released column: {"inputs": [{"table", "column", "kind", "subtype",
        "what"}], "from": [columns of the release it is computed from], "treatment"}}, "tables":
        {table: {column: {"inputs": [delivered columns], "rule"}}}}; a table's columns that are
        delivered as they are have no entry.
    """
    inputs, computed = _inputs(declared)
    columns: dict[str, Any] = {}
    for name, found in inputs.items():
        treatment = declared.privacy.get(name, {}).get("treatment", "")
        if treatment == "drop":
            continue
        columns[name] = {
            "inputs": [asdict(one) for one in sorted(set(found))],
            "from": list(computed.get(name, ())),
            "treatment": treatment,
        }
    tables = sorted({one.table for found in inputs.values() for one in found})
    return {
        "format": FORMAT,
        "columns": columns,
        "tables": {name: table_lineage(declared.contracts[name]) for name in tables},
    }


def _inputs(declared: Declared) -> tuple[dict[str, list[Input]], dict[str, tuple[str, ...]]]:
    spine, contract = declared.spine, declared.contracts[declared.spine.table]
    found: dict[str, list[Input]] = {
        name: [Input(spine.table, name, DIRECT, "IDENTITY")]
        for name in dict.fromkeys((*contract.primary_key, *spine.columns))
    }
    moment = f"event time and {spine.at_offset}"
    found["t"] = [Input(spine.table, "event_time", DIRECT, "TRANSFORMATION", moment)]
    found["split"] = [Input(spine.table, "event_time", DIRECT, "TRANSFORMATION", "split rule")]
    computed = {}
    for view in declared.views:
        if isinstance(view, RowTransform):
            computed[view.name] = view.inputs
            found[view.name] = [
                Input(one.table, one.column, one.kind, _passed(one), one.what)
                for name in view.inputs
                for one in found.get(name, ())
            ]
        elif isinstance(view, Lookup):
            found |= {
                name: [
                    Input(view.table, column, DIRECT, "IDENTITY", "the state that holds"),
                    *_placed(view.table, view.entity, view.spine_entity, spine),
                ]
                for name, column in zip(view.outputs, view.columns, strict=True)
            }
        else:
            found |= dict(_of_view(view, spine))
    found |= dict(_of_label(declared.label, spine))
    return found, computed


def _passed(one: Input) -> str:
    return "TRANSFORMATION" if one.kind == DIRECT else one.subtype


def _placed(
    table: str, entity: Iterable[str], asked: Iterable[str], spine: Spine
) -> Iterator[Input]:
    """What decides which rows of a table count for a row: whose they are, when, and since when."""
    yield from (Input(table, name, INDIRECT, "JOIN") for name in entity)
    yield from (Input(spine.table, name, INDIRECT, "JOIN") for name in asked)
    yield Input(table, "event_time", INDIRECT, "WINDOW")
    yield Input(spine.table, "event_time", INDIRECT, "WINDOW", "the row's own t")
    yield Input(table, "known_at", INDIRECT, "FILTER", "known by then")


def _of_view(view: FeatureView, spine: Spine) -> Iterator[tuple[str, list[Input]]]:
    placed = list(_placed(view.table, view.entity, view.spine_entity, spine))
    for feature in view.features:
        filtered = [
            Input(
                view.table,
                condition.column,
                INDIRECT,
                "FILTER",
                f"{condition.op} {condition.value!r}",
            )
            for condition in conditions(feature.where)
        ]
        for name, read in _outputs(feature):
            direct = [Input(view.table, c, DIRECT, "AGGREGATION", _what(feature)) for c in read]
            yield f"{view.name}__{name}", [*direct, *placed, *filtered]


def _what(feature: Aggregate) -> str:
    kind = "picked" if feature.op in _PICKED else "of all"
    return f"{feature.op}, {kind} in {feature.window.start} to {feature.window.end}"


def _outputs(feature: Aggregate) -> list[tuple[str, tuple[str, ...]]]:
    if feature.op == "last_row":
        pairs = zip(feature.names, feature.columns, strict=True)
        return [(name, (column,)) for name, column in pairs]
    return [(feature.names[0], feature.columns)]


def _of_label(label: Label, spine: Spine) -> Iterator[tuple[str, list[Input]]]:
    placed = list(_placed(label.table, label.key, label.spine_key, spine))
    status = (
        [Input(label.table, label.status, INDIRECT, "CONDITIONAL", "excluded statuses")]
        if label.status
        else []
    )
    for name in label.columns:
        own = Input(label.table, name, DIRECT, "IDENTITY", f"last within {label.horizon}")
        yield name, [own, *placed, *status]


# From a delivery to a table


def table_lineage(contract: Contract) -> dict[str, dict[str, Any]]:
    """{column: {"inputs": [columns of the delivery], "rule"}} of what a contract derives."""
    derived = {name: (sorted(_read(rule)), _rule(rule)) for name, rule in contract.derivations}
    times = {"event_time": contract.event_time, "known_at": contract.known_at}
    if contract.deleted is not None:
        times["_deleted"] = contract.deleted
    derived |= {
        name: (sorted(rule.expression.inputs), rule.expression.expression)
        for name, rule in times.items()
    }
    delivered = {field.name for field in contract.delivered}
    shown = {*times, *(field.name for field in contract.fields)}
    return {
        name: {"inputs": sorted(_delivered(name, derived, delivered)), "rule": rule}
        for name, (_, rule) in sorted(derived.items())
        if name in shown
    }


def _delivered(
    name: str, derived: Mapping[str, tuple[list[str], str]], delivered: set[str]
) -> set[str]:
    """Through columns that are derived themselves, and hidden ones."""
    if name not in derived:
        return {name} & delivered
    inputs, _ = derived[name]
    return {
        one for inner in inputs if inner != name for one in _delivered(inner, derived, delivered)
    }


def _read(rule: Derivation) -> set[str]:
    return set(rule.inputs) if isinstance(rule, Sql) else set(_texts(asdict(rule)))


def _rule(rule: Derivation) -> str:
    return rule.expression if isinstance(rule, Sql) else type(rule).__name__


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in {"reference", "ambiguous", "missing", "name"}:
                yield from _texts(inner)

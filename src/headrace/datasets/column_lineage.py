"""Column lineage: the table columns behind each released column, derived only from declarations.

An input is *direct* if its values flow into the released column (identity, transformation,
aggregation). It is *indirect* if it selects which values flow: the entity (join), the event time
(window), known-at and filters (filter), an excluded status (conditional). The terms are those of
OpenLineage, as in the lineage events that Headrace sends.
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
# Operations whose result is one of the column's own values.
_PICKED = frozenset({"first", "last", "last_row", "min", "max"})


@dataclass(frozen=True, order=True)
class Input:
    """An input column of a released column; `kind` and `subtype` as in OpenLineage."""

    table: str
    column: str
    kind: Kind
    subtype: str
    what: str = ""


@dataclass(frozen=True)
class Declared:
    """Declarations from which lineage is derived; `privacy` is the manifest's `privacy` entry."""

    spine: Spine
    views: tuple[View, ...]
    label: Label
    contracts: Mapping[str, Contract]
    privacy: Mapping[str, Mapping[str, str]]


def column_lineage(declared: Declared) -> dict[str, Any]:
    """Lineage document of a release; the manifest stores its digest.

    Returns:
        {"format", "columns": {released column: {"inputs": [{"table", "column", "kind", "subtype",
        "what"}], "from": [released columns that it is computed from], "treatment"}}, "tables":
        {table: {column: {"inputs": [delivered columns], "rule"}}}}. Columns that a table takes
        unchanged from its batches have no entry.
    """
    inputs, computed = _inputs(declared)
    columns: dict[str, Any] = {}
    for name, column_inputs in inputs.items():
        treatment = declared.privacy.get(name, {}).get("treatment", "")
        if treatment == "drop":
            continue
        columns[name] = {
            "inputs": [asdict(source) for source in sorted(set(column_inputs))],
            "from": list(computed.get(name, ())),
            "treatment": treatment,
        }
    tables = sorted({source.table for column_inputs in inputs.values() for source in column_inputs})
    return {
        "format": FORMAT,
        "columns": columns,
        "tables": {name: table_lineage(declared.contracts[name]) for name in tables},
    }


def _inputs(declared: Declared) -> tuple[dict[str, list[Input]], dict[str, tuple[str, ...]]]:
    spine, contract = declared.spine, declared.contracts[declared.spine.table]
    inputs: dict[str, list[Input]] = {
        name: [Input(spine.table, name, DIRECT, "IDENTITY")]
        for name in dict.fromkeys((*contract.primary_key, *spine.columns))
    }
    moment = f"event time and {spine.at_offset}"
    inputs["t"] = [Input(spine.table, "event_time", DIRECT, "TRANSFORMATION", moment)]
    inputs["split"] = [Input(spine.table, "event_time", DIRECT, "TRANSFORMATION", "split rule")]
    computed = {}
    for view in declared.views:
        if isinstance(view, RowTransform):
            computed[view.name] = view.inputs
            inputs[view.name] = [
                Input(source.table, source.column, source.kind, _passed(source), source.what)
                for name in view.inputs
                for source in inputs.get(name, ())
            ]
        elif isinstance(view, Lookup):
            inputs |= {
                name: [
                    Input(view.table, column, DIRECT, "IDENTITY", "the state that holds"),
                    *_placed(view.table, view.entity, view.spine_entity, spine),
                ]
                for name, column in zip(view.outputs, view.columns, strict=True)
            }
        else:
            inputs |= dict(_of_view(view, spine))
    inputs |= dict(_of_label(declared.label, spine))
    return inputs, computed


def _passed(source: Input) -> str:
    return "TRANSFORMATION" if source.kind == DIRECT else source.subtype


def _placed(
    table: str, entity: Iterable[str], spine_entity: Iterable[str], spine: Spine
) -> Iterator[Input]:
    """Indirect inputs that select rows of a table: entity, event time and known-at."""
    yield from (Input(table, name, INDIRECT, "JOIN") for name in entity)
    yield from (Input(spine.table, name, INDIRECT, "JOIN") for name in spine_entity)
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
        value_input = Input(label.table, name, DIRECT, "IDENTITY", f"last within {label.horizon}")
        yield name, [value_input, *placed, *status]


# From a batch to a table


def table_lineage(contract: Contract) -> dict[str, dict[str, Any]]:
    """{column: {"inputs": [columns of the batch], "rule"}} for columns that a contract derives."""
    derived = {name: (sorted(_read(rule)), _rule(rule)) for name, rule in contract.derivations}
    times = {"event_time": contract.event_time, "known_at": contract.known_at}
    if contract.deleted is not None:
        times["_deleted"] = contract.deleted
    derived |= {
        name: (sorted(rule.expression.inputs), rule.expression.expression)
        for name, rule in times.items()
    }
    delivered = {field.name for field in contract.delivered}
    column_names = {*times, *(field.name for field in contract.fields)}
    return {
        name: {"inputs": sorted(_delivered(name, derived, delivered)), "rule": rule}
        for name, (_, rule) in sorted(derived.items())
        if name in column_names
    }


def _delivered(
    name: str, derived: Mapping[str, tuple[list[str], str]], delivered: set[str]
) -> set[str]:
    """Columns of the batch that a column is derived from, through derived and hidden columns."""
    if name not in derived:
        return {name} & delivered
    inputs, _ = derived[name]
    return {
        column
        for inner in inputs
        if inner != name
        for column in _delivered(inner, derived, delivered)
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

"""Privacy class of each column of a training set, from the contracts of its source tables.

A computed column inherits the strictest class of its inputs: the columns that it aggregates, looks
up or filters by. Classes pass through contracts' derivations and row transforms. The entity columns
that select the rows are not inputs: they are columns of the training set with their own class.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict

from headrace.contracts.model import Contract, Derivation, Sql
from headrace.datasets.governance.privacy import strictest
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

Classes = dict[str, str]


def frame_classes(
    spine: Spine,
    views: Iterable[View],
    label: Label,
    contracts: Mapping[str, Contract],
) -> Classes:
    """{column: privacy class} of the labelled training set; `t` has the class of the event time."""
    tables = {name: table_classes(contract) for name, contract in contracts.items()}
    of = tables[spine.table]
    classes = {name: of[name] for name in (*contracts[spine.table].primary_key, *spine.columns)}
    classes["t"] = of["event_time"]
    for view in views:
        if isinstance(view, RowTransform):
            classes[view.name] = strictest(
                [classes[name] for name in view.inputs if name in classes]
            )
        elif isinstance(view, Lookup):
            columns = tables[view.table]
            classes |= {f"{view.name}__{name}": columns[name] for name in view.columns}
        else:
            classes |= _view_classes(view, tables[view.table])
    decided = [label.status] if label.status else []
    for name in label.columns:
        classes[name] = strictest([tables[label.table][column] for column in (name, *decided)])
    return classes


def table_classes(contract: Contract) -> Classes:
    """{column: class} of a published table; a derived column is as strict as its inputs."""
    classes: Classes = {}
    for field in contract.columns:
        declared = [field.privacy]
        classes[field.name] = strictest([*declared, *_input_classes(field.derivation, classes)])
    classes["event_time"] = strictest(_input_classes(contract.event_time.expression, classes))
    classes["known_at"] = strictest(_input_classes(contract.known_at.expression, classes))
    return classes


def _input_classes(rule: Derivation | None, classes: Classes) -> list[str]:
    if rule is None:
        return []
    names = rule.inputs if isinstance(rule, Sql) else set(_texts(asdict(rule)))
    return [classes[name] for name in names if name in classes]


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)


def _view_classes(view: FeatureView, of: Classes) -> Classes:
    return {
        f"{view.name}__{name}": strictest([of[column] for column in read])
        for feature in view.features
        for name, read in _outputs(feature)
    }


def _outputs(feature: Aggregate) -> list[tuple[str, list[str]]]:
    """Each output with its input columns, including the columns of its filter."""
    filtered = [condition.column for condition in conditions(feature.where)]
    # `LastRow` has an output for each of its columns, in order; all others have one.
    single = len(feature.names) != len(feature.columns) or len(feature.names) == 1
    if single:
        return [(feature.names[0], [*feature.columns, *filtered])]
    pairs = zip(feature.names, feature.columns, strict=True)
    return [(name, [column, *filtered]) for name, column in pairs]

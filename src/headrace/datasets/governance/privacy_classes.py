"""The privacy class of each column of a frame, from the contracts of the tables it was made of.

What is computed inherits the strictest class of what it is computed from: the values it aggregates
or looks up and the columns it filters by, through contracts' derivations and row transforms. The
entity does not count, by which rows are found: it says whose row it is, and has its own column.
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
    """{column: privacy class} of the labelled frame; that of `t` is the event time's."""
    tables = {name: table_classes(contract) for name, contract in contracts.items()}
    of = tables[spine.table]
    found = {name: of[name] for name in (*contracts[spine.table].primary_key, *spine.columns)}
    found["t"] = of["event_time"]
    for view in views:
        if isinstance(view, RowTransform):
            found[view.name] = strictest([found[name] for name in view.inputs if name in found])
        elif isinstance(view, Lookup):
            columns = tables[view.table]
            found |= {f"{view.name}__{name}": columns[name] for name in view.columns}
        else:
            found |= _view_classes(view, tables[view.table])
    decided = [label.status] if label.status else []
    for name in label.columns:
        found[name] = strictest([tables[label.table][one] for one in (name, *decided)])
    return found


def table_classes(contract: Contract) -> Classes:
    """{column: class} of a published table; a derived column is as strict as what it is made of."""
    found: Classes = {}
    for field in contract.columns:
        own = [field.privacy]
        found[field.name] = strictest([*own, *_given(field.derivation, found)])
    found["event_time"] = strictest(_given(contract.event_time.expression, found))
    found["known_at"] = strictest(_given(contract.known_at.expression, found))
    return found


def _given(rule: Derivation | None, known: Classes) -> list[str]:
    if rule is None:
        return []
    names = rule.inputs if isinstance(rule, Sql) else set(_texts(asdict(rule)))
    return [known[name] for name in names if name in known]


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
    """Each output with the columns its value comes from, those of its filter included."""
    filtered = [condition.column for condition in conditions(feature.where)]
    # `LastRow` has an output for each of its columns, in order; all others have one.
    single = len(feature.names) != len(feature.columns) or len(feature.names) == 1
    if single:
        return [(feature.names[0], [*feature.columns, *filtered])]
    pairs = zip(feature.names, feature.columns, strict=True)
    return [(name, [column, *filtered]) for name, column in pairs]

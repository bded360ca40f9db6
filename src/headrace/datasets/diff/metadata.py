"""Differences of two manifests other than rows, as pure functions of the manifests."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from headrace.datasets.diff.model import Cell, MetadataChange, SchemaChange
from headrace.datasets.manifest import InputTable, Manifest

Batches = Callable[[InputTable], list[str]]
_ABSENT = object()


def schema_changes(a: Manifest, b: Manifest) -> tuple[SchemaChange, ...]:
    """Columns that were added, removed or retyped, or have another role."""
    old, new = ({column.name: column for column in manifest.columns} for manifest in (a, b))
    changes = []
    for name in [*old, *(name for name in new if name not in old)]:
        before, after = old.get(name), new.get(name)
        if before is None or after is None:
            types = [None if column is None else column.type for column in (before, after)]
            changes.append(SchemaChange(name, "removed" if before else "added", *types))
            continue
        if before.type != after.type:
            changes.append(SchemaChange(name, "retyped", before.type, after.type))
        if before.role != after.role:
            changes.append(SchemaChange(name, "role", before.role, after.role))
    return tuple(changes)


def meaning(a: Manifest, b: Manifest) -> tuple[MetadataChange, ...]:
    """Semantic changes: definitions, contracts, label, split rule, mode, parameters, fits."""
    return (
        *_changed("definition", a.definitions, b.definitions),
        *_inputs("contract", a, b, ("contract_version", "contract_hash")),
        *_changed("label", a.label, b.label),
        *_changed("split rule", a.split_rule, b.split_rule),
        *_changed("release", {"mode": a.mode}, {"mode": b.mode}),
        *_changed("parameter", a.parameters, b.parameters),
        *_changed("fit", a.fits, b.fits),
    )


def governance(a: Manifest, b: Manifest) -> tuple[MetadataChange, ...]:
    """Governance changes: purposes, licences, privacy, retention, erasures and overrides."""
    names = ("purpose", "description", "licences", "terms", "card", "erasures")
    allowed = [{"leakage that is allowed": m.leakage.get("because", "")} for m in (a, b)]
    return (
        *_changed("release", *allowed),
        *_changed("release", *({name: _plain(getattr(m, name)) for name in names} for m in (a, b))),
        *_changed("privacy", a.privacy, b.privacy),
        *_changed("retention", a.retention, b.retention),
        *_inputs("input", a, b, ("licence", "purposes", "owner", "overrides")),
    )


def origin(
    a: Manifest, b: Manifest, batches_of_a: Batches, batches_of_b: Batches
) -> tuple[MetadataChange, ...]:
    """Changes of origin: snapshots, batches, cutoff, code. They do not affect `equal`."""
    names = (
        "pipeline", "cutoff_us", "live_since_us", "code_revision", "left_out", "lineage", "coverage"
    )  # fmt: skip
    excluded = [
        {"left out": dict(m.left_out)}
        | {f"left out of {n}": dict(s.left_out) for n, s in m.splits.items()}
        for m in (a, b)
    ]
    return (
        *_changed(
            "release",
            *({name: getattr(m, name) for name in names if name != "left_out"} for m in (a, b)),
        ),
        *_changed("rows", *excluded),
        *_inputs("input", a, b, ("snapshot_id", "verdicts", "batch_count")),
        *_batches(a, b, batches_of_a, batches_of_b),
    )


def _changed(
    group: str, old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[MetadataChange]:
    for name in sorted({*old, *new}):
        before, after = old.get(name, _ABSENT), new.get(name, _ABSENT)
        if before != after:
            yield MetadataChange(group, name, _plain(before), _plain(after))


def _inputs(
    group: str, a: Manifest, b: Manifest, names: tuple[str, ...]
) -> Iterator[MetadataChange]:
    for table in sorted({*a.inputs, *b.inputs}):
        old, new = (
            {f"{table}.{name}": getattr(m.inputs[table], name) for name in names}
            if table in m.inputs
            else {}
            for m in (a, b)
        )
        yield from _changed(group, old, new)


def _batches(a: Manifest, b: Manifest, of_a: Batches, of_b: Batches) -> Iterator[MetadataChange]:
    for table in sorted({*a.inputs} & {*b.inputs}):
        old, new = a.inputs[table], b.inputs[table]
        if old.batch_list != new.batch_list:
            before, after = set(of_a(old)), set(of_b(new))
            yield MetadataChange("batches gone", table, sorted(before - after), None)
            yield MetadataChange("batches new", table, None, sorted(after - before))


def _plain(value: Any) -> Cell:  # noqa: ANN401 - a field of a manifest
    if value is _ABSENT:
        return None
    if isinstance(value, tuple):
        return [_plain(element) for element in value]
    return dict(value) if isinstance(value, Mapping) else value

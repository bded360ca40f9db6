"""Two releases of one dataset held against each other: `diff(a, b)`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from headrace.core.errors import DeclarationError
from headrace.datasets.diff.column_summary import summary
from headrace.datasets.diff.equal_parts import Pairing, pairing
from headrace.datasets.diff.metadata import governance, meaning, origin, schema_changes
from headrace.datasets.diff.model import Column, Diff, Rows, Step
from headrace.datasets.diff.rows import Compared, compare_rows
from headrace.datasets.manifest import InputTable, Manifest, Part
from headrace.datasets.reader import Dataset
from headrace.datasets.store.store import Store
from headrace.datasets.version import next_version, parse_version


def diff(a: Dataset, b: Dataset, *, rows: int = 5, distributions: bool = True) -> Diff:
    """What differs between two releases of one dataset, in one store or in two.

    Whole releases are compared, whatever is selected. Parts that both have are not read; the others
    are read once, a bounded number of rows at a time.

    Args:
        a: the first; what it has and `b` has not was removed.
        b: the second.
        rows: examples of each kind.
        distributions: also tell how far the values of each column moved, from samples.

    Raises:
        DeclarationError: they are releases of two datasets.
        StateError: an object is missing or is not what was released.
    """
    one, other = a.manifest, b.manifest
    if one.name != other.name:
        raise DeclarationError(
            f"{one.ref} and {other.ref} are releases of two datasets",
            fix=f"compare releases of one, as {one.name}@1.0.0 and {one.name}@latest",
        )
    a, b = _whole(a), _whole(b)
    parts, types = pairing(one, other), _comparable(one, other)
    key = one.key if _keys(one) == _keys(other) and set(one.key) <= set(types) else None
    if key is None:
        parts = replace(parts, only_a=_parts(one), only_b=_parts(other), shared=(), twins=())
    found = compare_rows(a, b, parts, key, types, keep=rows, distributions=distributions)
    return _told(a, b, parts, key, found)


def _parts(manifest: Manifest) -> tuple[Part, ...]:
    return tuple(part for split in manifest.splits.values() for part in split.parts)


def _whole(release: Dataset) -> Dataset:
    names = tuple(column.name for column in release.manifest.columns)
    return Dataset(release.store, release.manifest, tuple(release.manifest.splits), names)


def _keys(manifest: Manifest) -> set[str]:
    return set(manifest.key)


def _comparable(a: Manifest, b: Manifest) -> dict[str, str]:
    """Columns of both with one canonical type, in the order of the second."""
    old = {column.name: column.type for column in a.columns}
    return {c.name: c.type for c in b.columns if old.get(c.name) == c.type}


def _told(
    a: Dataset, b: Dataset, parts: Pairing, key: tuple[str, ...] | None, found: Compared
) -> Diff:
    one, other = a.manifest, b.manifest
    rows = _rows(one, other, parts, found)
    schema, said = schema_changes(one, other), meaning(one, other)
    governed = governance(one, other)
    same_content = one.content_hash == other.content_hash
    step = next_version(one, other)
    differs = schema or said or governed or rows.same != rows.before or rows.same != rows.after
    return Diff(
        before=one.ref,
        after=other.ref,
        equal=same_content and not differs,
        content_equal=same_content,
        content_hashes=(one.content_hash, other.content_hash),
        change=step.change,
        reasons=step.reasons,
        keys=key,
        rows=rows,
        schema=schema,
        columns=_columns(one, other, found, matched=key is not None),
        meaning=said,
        governance=governed,
        origin=origin(one, other, _batches(a.store), _batches(b.store)),
        steps=_steps(b.store, one, other) if a.store == b.store else (),
        parts=(_count(one), _count(other), len(parts.shared)),
    )


def _rows(one: Manifest, other: Manifest, parts: Pairing, found: Compared) -> Rows:
    counts, tally = found.tally.rows, found.tally
    skipped = sum(part.rows for part in parts.shared)
    examples: Mapping[str, list[Any]] = tally.examples
    return Rows(
        before=one.rows,
        after=other.rows,
        added=counts["added"],
        removed=counts["removed"],
        changed=counts["changed"],
        moved=counts["moved"],
        same=counts["same"] + skipped,
        skipped=skipped,
        added_by_split=dict(sorted(tally.by_split["added"].items())),
        removed_by_split=dict(sorted(tally.by_split["removed"].items())),
        moves=tuple(sorted((*pair, count) for pair, count in tally.moves.items())),
        examples_added=tuple(examples["added"]),
        examples_removed=tuple(examples["removed"]),
        examples_changed=tuple(examples["changed"]),
        examples_moved=tuple(examples["moved"]),
    )


def _columns(
    one: Manifest, other: Manifest, found: Compared, *, matched: bool
) -> tuple[Column, ...]:
    """Of both releases: those with most changed cells first, then those that moved furthest."""
    old = {column.name: column for column in one.columns}
    tally = found.tally
    told = []
    for column in other.columns:
        if column.name not in old:
            continue
        alike = matched and old[column.name].type == column.type
        cells = tally.rows["moved"] if column.name == "split" else tally.cells[column.name]
        told.append(
            Column(
                name=column.name,
                type=column.type,
                role=column.role,
                changed=cells if alike else None,
                examples=tuple(tally.of_column.get(column.name, ())),
                before=summary(one, column.name, old[column.name].type),
                after=summary(other, column.name, column.type),
                distribution=found.distributions.get(column.name),
            )
        )
    return tuple(sorted(told, key=_most_changed_first))


def _most_changed_first(column: Column) -> tuple[float, float]:
    moved = column.distribution.distance if column.distribution else 0.0
    return -(column.changed or 0), -moved


def _batches(store: Store) -> Any:  # noqa: ANN401 - a function of an input
    def listed(given: InputTable) -> list[str]:
        found: list[str] = store.get_json(given.batch_list) if given.batch_list else []
        return found

    return listed


def _steps(store: Store, one: Manifest, other: Manifest) -> tuple[Step, ...]:
    first, last = parse_version(one.version), parse_version(other.version)
    between = [v for v in store.versions(other.name) if first < parse_version(v) <= last]
    manifests = [store.manifest(other.name, version) for version in between]
    return tuple(Step(m.version, m.change, m.reasons) for m in manifests)


def _count(manifest: Manifest) -> int:
    return sum(len(split.parts) for split in manifest.splits.values())

"""Comparison of two releases of one dataset: `diff(a, b)`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from headrace.core.errors import DeclarationError
from headrace.datasets.diff.column_summary import summary
from headrace.datasets.diff.equal_parts import Pairing, pairing
from headrace.datasets.diff.metadata import governance, meaning, origin, schema_changes
from headrace.datasets.diff.model import ColumnDiff, ReleaseDiff, RowCounts, VersionChange
from headrace.datasets.diff.rows import RowComparison, compare_rows
from headrace.datasets.manifest import InputTable, Manifest, Part
from headrace.datasets.reader import Dataset
from headrace.datasets.store.store import Store
from headrace.datasets.version import next_version, parse_version


def diff(a: Dataset, b: Dataset, *, rows: int = 5, distributions: bool = True) -> ReleaseDiff:
    """Compare two releases of one dataset, in one store or in two.

    Whole releases are compared; selections are ignored. Parts that both releases have are not
    read; other parts are read once, a bounded number of rows at a time.

    Args:
        a: the first release; a row that only `a` has was removed.
        b: the second release.
        rows: number of examples of each kind.
        distributions: also measure, on samples, how far the distribution of each column moved.

    Raises:
        DeclarationError: the releases belong to different datasets.
        StateError: an object is missing or does not match the manifest.
    """
    before, after = a.manifest, b.manifest
    if before.name != after.name:
        raise DeclarationError(
            f"{before.ref} and {after.ref} are releases of different datasets",
            fix=f"compare releases of one dataset: {before.name}@1.0.0 and {before.name}@latest",
        )
    a, b = _unfiltered(a), _unfiltered(b)
    parts, types = pairing(before, after), _comparable(before, after)
    key = before.key if _keys(before) == _keys(after) and set(before.key) <= set(types) else None
    if key is None:
        parts = replace(parts, only_a=_parts(before), only_b=_parts(after), shared=(), twins=())
    comparison = compare_rows(a, b, parts, key, types, keep=rows, distributions=distributions)
    return _build_diff(a, b, parts, key, comparison)


def _parts(manifest: Manifest) -> tuple[Part, ...]:
    return tuple(part for split in manifest.splits.values() for part in split.parts)


def _unfiltered(release: Dataset) -> Dataset:
    names = tuple(column.name for column in release.manifest.columns)
    return Dataset(release.store, release.manifest, tuple(release.manifest.splits), names)


def _keys(manifest: Manifest) -> set[str]:
    return set(manifest.key)


def _comparable(a: Manifest, b: Manifest) -> dict[str, str]:
    """{column: type} with the same canonical type in both, in the order of the second release."""
    old = {column.name: column.type for column in a.columns}
    return {c.name: c.type for c in b.columns if old.get(c.name) == c.type}


def _build_diff(
    a: Dataset, b: Dataset, parts: Pairing, key: tuple[str, ...] | None, comparison: RowComparison
) -> ReleaseDiff:
    before, after = a.manifest, b.manifest
    rows = _rows(before, after, parts, comparison)
    schema, meaning_changes = schema_changes(before, after), meaning(before, after)
    governed = governance(before, after)
    same_content = before.content_hash == after.content_hash
    step = next_version(before, after)
    differs = (
        schema or meaning_changes or governed or rows.same != rows.before or rows.same != rows.after
    )
    return ReleaseDiff(
        before=before.ref,
        after=after.ref,
        equal=same_content and not differs,
        content_equal=same_content,
        content_hashes=(before.content_hash, after.content_hash),
        change=step.change,
        reasons=step.reasons,
        keys=key,
        rows=rows,
        schema=schema,
        columns=_columns(before, after, comparison, matched=key is not None),
        meaning=meaning_changes,
        governance=governed,
        origin=origin(before, after, _batches(a.store), _batches(b.store)),
        steps=_steps(b.store, before, after) if a.store == b.store else (),
        parts=(_count(before), _count(after), len(parts.shared)),
    )


def _rows(
    before: Manifest, after: Manifest, parts: Pairing, comparison: RowComparison
) -> RowCounts:
    counts, tally = comparison.tally.rows, comparison.tally
    skipped = sum(part.rows for part in parts.shared)
    examples: Mapping[str, list[Any]] = tally.examples
    return RowCounts(
        before=before.rows,
        after=after.rows,
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
    before: Manifest, after: Manifest, comparison: RowComparison, *, matched: bool
) -> tuple[ColumnDiff, ...]:
    """Columns of both releases: most changed cells first, then the largest distance."""
    old = {column.name: column for column in before.columns}
    tally = comparison.tally
    columns = []
    for column in after.columns:
        if column.name not in old:
            continue
        alike = matched and old[column.name].type == column.type
        cells = tally.rows["moved"] if column.name == "split" else tally.cells[column.name]
        columns.append(
            ColumnDiff(
                name=column.name,
                type=column.type,
                role=column.role,
                changed=cells if alike else None,
                examples=tuple(tally.of_column.get(column.name, ())),
                before=summary(before, column.name, old[column.name].type),
                after=summary(after, column.name, column.type),
                distribution=comparison.distributions.get(column.name),
            )
        )
    return tuple(sorted(columns, key=_most_changed_first))


def _most_changed_first(column: ColumnDiff) -> tuple[float, float]:
    distance = column.distribution.distance if column.distribution else 0.0
    return -(column.changed or 0), -distance


def _batches(store: Store) -> Any:  # noqa: ANN401 - a function of an input
    def listed(source: InputTable) -> list[str]:
        batches: list[str] = store.get_json(source.batch_list) if source.batch_list else []
        return batches

    return listed


def _steps(store: Store, before: Manifest, after: Manifest) -> tuple[VersionChange, ...]:
    first, last = parse_version(before.version), parse_version(after.version)
    between = [v for v in store.versions(after.name) if first < parse_version(v) <= last]
    manifests = [store.manifest(after.name, version) for version in between]
    return tuple(VersionChange(m.version, m.change, m.reasons) for m in manifests)


def _count(manifest: Manifest) -> int:
    return sum(len(split.parts) for split in manifest.splits.values())

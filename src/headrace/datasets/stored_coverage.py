"""Coverage report of a release: the stored report, or a new report on given rows."""

from typing import Any

import pyarrow as pa

from headrace.core.errors import DeclarationError, StateError
from headrace.datasets.coverage import FORMAT, coverage
from headrace.datasets.reader import Dataset
from headrace.datasets.vocabulary import EVALUATION


def coverage_of(dataset: Dataset, rows: pa.Table | None = None) -> dict[str, Any]:
    """Return the stored coverage report of the release, or a new one for the given `rows`.

    If an older release has no report, a new one covers all splits except train and evaluation.
    `rows` needs the key, spine, feature and time columns of the release.

    Raises:
        DeclarationError: `rows` lacks columns.
        StateError: the report is missing, altered, or of a newer format.
    """
    manifest = dataset.manifest
    if rows is None and manifest.coverage:
        return _stored(dataset)
    compared = [
        column for column in manifest.columns if column.role in {"key", "spine", "feature", "time"}
    ]
    names = [column.name for column in compared]
    if rows is None:
        other_splits = [name for name in manifest.splits if name not in {"train", EVALUATION}]
        rows = dataset.select(columns=names, splits=other_splits).arrow
    if missing := sorted(set(names) - set(rows.column_names)):
        raise DeclarationError(
            f"the rows lack {', '.join(missing)}",
            where=f"coverage of {manifest.ref}",
            fix="add these columns, as in the release",
        )
    train = dataset.select(columns=names, splits=["train"]).arrow
    return coverage(train, rows.select(names), compared)


def _stored(dataset: Dataset) -> dict[str, Any]:
    form: dict[str, Any] = dataset.store.get_json(dataset.manifest.coverage)
    if form["format"] > FORMAT:
        raise StateError(
            f"the coverage report has format {form['format']}, this Headrace reads up to {FORMAT}",
            where=dataset.ref,
            fix="upgrade headrace",
        )
    return form

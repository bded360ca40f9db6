"""Fits of a release, fitted on its training split and stored as objects."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa

from headrace.core.errors import DeclarationError, StateError
from headrace.datasets.fits.fits import Fits
from headrace.datasets.fits.fitting import fit_column
from headrace.datasets.fits.transforms import Transform, form_of, transform_of, transforms_by_column
from headrace.datasets.manifest import Manifest, ManifestColumn
from headrace.datasets.store.store import Store

FORMAT = 1


def fit_forms(
    train: pa.Table, transforms: Sequence[Transform], columns: Sequence[ManifestColumn]
) -> dict[str, Any]:
    """Column -> `{"format", "column", "declared", "steps"}`, fitted on `train`."""
    by_column = transforms_by_column(transforms, columns)
    return {name: _form(train, name, steps) for name, steps in by_column.items()}


def refitted(store: Store, manifest: Manifest, train: pa.Table) -> dict[str, str]:
    """Fit the declared transforms of a release on the training rows of its successor.

    Store the fits and return column -> sha256 of the object, as in a manifest.
    """
    objects = {}
    for name, form in _forms(store, manifest.fits).items():
        declared = tuple(transform_of(entry, name) for entry in form["declared"])
        # Drop a transform that cannot be fitted without the removed rows.
        with suppress(DeclarationError):
            objects[name] = store.put_json(_form(train, name, declared))
    return objects


def fits_of(store: Store, manifest: Manifest) -> Fits:
    """Load the fits of a release. Raises StateError for a missing, altered or newer fit."""
    forms = _forms(store, manifest.fits)
    return Fits({name: tuple(form["steps"]) for name, form in forms.items()})


def _form(train: pa.Table, name: str, declared: Sequence[Transform]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "column": name,
        "declared": [form_of(transform) for transform in declared],
        "steps": [dict(step) for step in fit_column(train.column(name), declared)],
    }


def _forms(store: Store, fits: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    forms = {}
    for name, object_id in sorted(fits.items()):
        form = store.get_json(object_id)
        if form["format"] > FORMAT:
            raise StateError(
                f"the fit of {name} has format {form['format']},"
                f" this Headrace reads up to {FORMAT}",
                where=object_id,
                fix="upgrade headrace",
            )
        forms[name] = form
    return forms

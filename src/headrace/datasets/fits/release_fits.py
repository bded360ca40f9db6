"""The fits of a release: made of its training split, kept as objects of the store."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa

from headrace.core.errors import DeclarationError, StateError
from headrace.datasets.fits.fits import Fits
from headrace.datasets.fits.fitting import fit_column
from headrace.datasets.fits.transforms import Transform, chosen, form_of, transform_of
from headrace.datasets.manifest import Column, Manifest
from headrace.datasets.store.store import Store

FORMAT = 1


def fit_forms(
    train: pa.Table, transforms: Sequence[Transform], columns: Sequence[Column]
) -> dict[str, Any]:
    """Column -> `{"format", "column", "declared", "steps"}`, fitted on `train`."""
    found = chosen(transforms, columns)
    return {name: _form(train, name, steps) for name, steps in found.items()}


def refitted(store: Store, manifest: Manifest, train: pa.Table) -> dict[str, str]:
    """The fits of a release, as declared for it, on other training rows: those of a successor.

    They are stored; column -> sha256 of the object, as in a manifest.
    """
    found = {}
    for name, form in _forms(store, manifest.fits).items():
        declared = tuple(transform_of(one, name) for one in form["declared"])
        # What was fitted on the rows that are gone alone goes with them.
        with suppress(DeclarationError):
            found[name] = store.put_json(_form(train, name, declared))
    return found


def fits_of(store: Store, manifest: Manifest) -> Fits:
    """What the release's fits do. Raises StateError for one that is missing, altered or newer."""
    forms = _forms(store, manifest.fits)
    return Fits({name: tuple(form["steps"]) for name, form in forms.items()})


def _form(train: pa.Table, name: str, declared: Sequence[Transform]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "column": name,
        "declared": [form_of(one) for one in declared],
        "steps": [dict(step) for step in fit_column(train.column(name), declared)],
    }


def _forms(store: Store, fits: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    found = {}
    for name, object_id in sorted(fits.items()):
        form = store.get_json(object_id)
        if form["format"] > FORMAT:
            raise StateError(
                f"the fit of {name} has format {form['format']},"
                f" this Headrace reads up to {FORMAT}",
                where=object_id,
                fix="upgrade headrace",
            )
        found[name] = form
    return found

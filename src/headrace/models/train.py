"""Training of models. The same release, declaration and library give the same bytes anywhere."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace.core.clock import iso, now_us
from headrace.core.errors import DeclarationError
from headrace.core.files import canonical_json, digest
from headrace.core.home import Home
from headrace.datasets.fits.fits import Fits, encode
from headrace.datasets.fits.fitting import fit
from headrace.datasets.fits.release_fits import fits_of
from headrace.datasets.manifest import ManifestColumn
from headrace.datasets.reader import Dataset
from headrace.models.evaluate import Forecasts, assess, moments
from headrace.models.learners.bundle import (
    LEARNER,
    LearnerTraining,
    library_of,
    write_limits,
)
from headrace.models.learners.learned import LearnedPart, label_type, learn, learning
from headrace.models.record import (
    BASELINE,
    FITS,
    FORM,
    LIGHTGBM,
    METRICS,
    MODEL,
    ModelRecord,
    form_of,
    load_record,
    model_folder,
    remember,
    remembered,
    write_bundle,
)
from headrace.models.score import Floats, last_known, score
from headrace.models.spec import ModelSpec
from headrace.models.tasks import PredictionTask, label_place
from headrace.models.training_rows import Recipe


@dataclass(frozen=True)
class _Material:
    """Inputs of a learner. `fits` and `task` are fitted on the training rows only."""

    spec: ModelSpec
    task: PredictionTask
    fits: Fits
    target: str
    rows: pa.Table
    valid: pa.Table
    rounds: int | None = None

    @property
    def params(self) -> dict[str, Any]:
        return {**self.spec.all_params(), **self.task.params}

    def labels(self, table: pa.Table) -> Floats:
        return self.task.observed(
            table.column(self.target), label_place(self.spec.name, self.target)
        )


@dataclass(frozen=True)
class _Grown:
    """Trained learner: its model text, and the gain of each column."""

    columns: tuple[ManifestColumn, ...]
    text: str
    rounds: int
    gain: dict[str, float]

    def forecast(self, fits: Fits, table: pa.Table) -> Floats:
        """Predict from the model text, as the stored model does, not with the learner in memory."""
        return score(self.text, self.columns, fits, table)


Part = _Grown | LearnedPart


def train(
    dataset: Dataset, spec: ModelSpec, home: Home, recipe: Recipe | None = None
) -> ModelRecord:
    """Train on train, stop early on valid, evaluate on test, and store the bundle.

    A `recipe` selects training rows; without one, all rows are used. If the same inputs were
    trained before, return the stored record without training. Needs the extra `models`, or
    `sklearn` for estimators.

    Raises:
        LearnerError: the team's code failed, or its predictions cannot be used.
    """
    inputs = _inputs(dataset, spec, recipe)
    identity = remembered(home, spec.name, inputs)
    if identity is None:
        identity = _store(dataset, spec, home, recipe)
        remember(home, spec.name, inputs, identity)
    elif spec.code is not None:
        write_limits(model_folder(home, spec.name) / identity, spec.code.limits)
    return load_record(home, spec.name, identity)


@dataclass(frozen=True)
class Candidate:
    """Recipe with its number of rounds; `loss` is the mean loss on the valid split."""

    recipe: Recipe
    rows: int
    loss: float


def choose(dataset: Dataset, spec: ModelSpec, recipes: Sequence[Recipe]) -> list[Candidate]:
    """Train with every recipe and return the candidates by loss on the valid split, best first.

    Ties keep the order of `recipes`. A recipe is skipped if it selects no rows, rows with only one
    outcome, rows without a class of the valid split, or the same rows as an earlier recipe. Nothing
    is stored. For LightGBM, the returned recipes have the number of rounds chosen on the valid
    split, for training on train and valid together; other learners have no such number.
    """
    manifest = dataset.manifest
    columns = spec.feature_columns(manifest)
    rows, valid = (dataset.split(name).arrow for name in ("train", "valid"))
    candidates = []
    seen_masks = set()
    for recipe in recipes:
        mask = recipe.row_mask(rows)
        if mask.tobytes() in seen_masks:
            continue
        seen_masks.add(mask.tobytes())
        labels = rows.column(manifest.target).filter(pa.array(mask))
        if not spec.kind.can_learn(labels, valid.column(manifest.target)):
            continue
        material = _material(dataset, spec, columns, recipe)
        with learning(spec, material.task) as training:
            grown = _train_part(material, columns, "model", training)
            expected = grown.forecast(material.fits, material.valid)
        loss = float(material.task.losses(material.labels(material.valid), expected).mean())
        best = replace(recipe, rounds=grown.rounds, with_valid=True)
        selected = best if training is None else recipe
        candidates.append(Candidate(selected, material.rows.num_rows, loss))
    return sorted(candidates, key=lambda candidate: candidate.loss)


def _inputs(dataset: Dataset, spec: ModelSpec, recipe: Recipe | None) -> str:
    """Return a digest of everything that determines the bytes of the bundle."""
    if spec.dataset != dataset.manifest.name:
        raise DeclarationError(
            f"model {spec.name} is declared on {spec.dataset}, not on {dataset.ref}",
            fix="open a release of the dataset that the model declares",
        )
    declared = {k: v for k, v in spec.form().items() if k != "margin"}
    return digest(
        {
            "spec": declared,
            "params": spec.all_params(),
            "dataset": dataset.ref,
            "content": dataset.content_hash,
            "definitions": dict(dataset.manifest.definitions),
            "library": _library(spec),
            **({} if recipe is None else {"recipe": recipe.form()}),
        }
    )


def _library(spec: ModelSpec) -> str:
    if spec.code is not None:
        return library_of(spec.code)
    return f"lightgbm {version('lightgbm')}"


def _store(dataset: Dataset, spec: ModelSpec, home: Home, recipe: Recipe | None) -> str:
    manifest = dataset.manifest
    features, baseline = spec.feature_columns(manifest), spec.baseline_columns(manifest)
    material = _material(dataset, spec, features + baseline, recipe)
    spec.last_value_column(manifest)  # before the training: it may be declared wrongly
    with learning(spec, material.task, model_folder(home, spec.name)) as training:
        grown = _train_part(material, features, "model", training)
        plain = _train_part(material, baseline, "baseline", training)
        files, created = _evaluated(dataset, material, recipe, grown, plain)
        if training is None:
            return write_bundle(home, spec.name, files, created)
        files = {**files, LEARNER: training.finish()}
        return write_bundle(home, spec.name, files, created, training.folder)


def _evaluated(
    dataset: Dataset, material: _Material, recipe: Recipe | None, grown: Part, plain: Part
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Evaluate model and baseline on the test split; return the files and when they were made."""
    spec, manifest = material.spec, dataset.manifest
    last_value = spec.last_value_column(manifest)
    draft = ModelRecord(
        name=spec.name,
        bundle_id="",
        path=Path(),
        dataset=manifest.ref,
        content_hash=manifest.content_hash,
        target=manifest.target,
        features=grown.columns,
        baseline=plain.columns,
        segments=tuple(column.name for column in spec.segment_columns(manifest)),
        definitions=manifest.definitions,
        params={
            **spec.all_params(),
            **({} if spec.code else {"num_rounds": spec.num_rounds}),
            **({} if recipe is None else {"recipe": recipe.form()}),
        },
        rounds=grown.rounds,
        base_rate=material.task.constant(material.labels(material.rows)),
        fits_id=material.fits.id,
        library=_library(spec),
        trained_at="",
        metrics={},
        task=material.task,
        last_value=None if last_value is None else last_value.name,
        learner=spec.code.kind if spec.code else LIGHTGBM,
    )
    test = dataset.split("test").arrow
    forecasts = Forecasts(
        task=draft.task,
        y=material.labels(test),
        t=moments(test),
        model=grown.forecast(material.fits, test),
        baseline=plain.forecast(material.fits, test),
        base_rate=draft.base_rate,
        segments=test.select(list(draft.segments)),
        last_value=last_known(draft, test),
    )
    metrics = assess(forecasts, rounds=spec.bootstrap, seed=spec.seed)
    details = {"dataset": manifest.ref, "split": "test", "gain": dict(grown.gain)}
    parts = {MODEL: grown, BASELINE: plain}
    files = {
        **{file: part.text.encode() for file, part in parts.items() if isinstance(part, _Grown)},
        FITS: material.fits.to_bytes(),
        FORM: canonical_json(form_of(draft, material.fits)),
        METRICS: canonical_json({**metrics, **details}),
    }
    created = {"trained_at": iso(now_us()), "manifest_id": manifest.id}
    return files, created


def _material(
    dataset: Dataset, spec: ModelSpec, columns: tuple[ManifestColumn, ...], recipe: Recipe | None
) -> _Material:
    rows, valid = (dataset.split(name).arrow for name in ("train", "valid"))
    if not rows.num_rows or not valid.num_rows:
        raise DeclarationError(
            f"{dataset.ref} has {rows.num_rows} training and {valid.num_rows} validation rows",
            where=f"model {spec.name}",
            fix="widen the splits of the dataset, or wait until more labels are mature",
        )
    declared = fits_of(dataset.store, dataset.manifest).only(column.name for column in columns)
    fits = fit(rows, tuple(dict.fromkeys(spec.categorical_columns(columns))), declared)
    target = dataset.manifest.target
    rounds = None
    if recipe is not None:
        available = pa.concat_tables([rows, valid]) if recipe.with_valid else rows
        rows, rounds = recipe.rows(available), recipe.rounds
    task = spec.kind.fitted(rows.column(target), label_place(spec.name, target))
    return _Material(spec, task, fits, target, rows, valid, rounds)


def _train_part(
    material: _Material,
    columns: tuple[ManifestColumn, ...],
    name: str,
    training: LearnerTraining | None,
) -> Part:
    if training is None:
        return _grow(material, columns)
    labels = (material.target, label_type(material.task))
    tables = (material.rows, material.valid)
    return learn(training, name, columns, tables, material.fits, labels=labels)


def _grow(material: _Material, columns: tuple[ManifestColumn, ...]) -> _Grown:
    import lightgbm

    spec = material.spec
    params = material.params
    learning = _lightgbm_data(material, columns, material.rows)
    if material.rounds is None:
        booster = lightgbm.train(
            params,
            learning,
            spec.num_rounds,
            valid_sets=[_lightgbm_data(material, columns, material.valid, learning)],
            callbacks=[lightgbm.early_stopping(spec.early_stopping, verbose=False)],
        )
        best = int(booster.best_iteration)
    else:
        booster, best = lightgbm.train(params, learning, material.rounds), material.rounds
    gain = booster.feature_importance("gain", iteration=best)
    names = material.fits.outputs(columns)
    return _Grown(
        columns,
        booster.model_to_string(num_iteration=best),
        best,
        {name: float(value) for name, value in zip(names, gain, strict=True)},
    )


def _lightgbm_data(
    material: _Material,
    columns: tuple[ManifestColumn, ...],
    table: pa.Table,
    reference: Any = None,  # noqa: ANN401 - LightGBM has no types
) -> Any:  # noqa: ANN401
    import lightgbm

    names = material.fits.outputs(columns)
    vocabularies = material.fits.vocabularies
    return lightgbm.Dataset(
        encode(table, columns, material.fits),
        material.labels(table),
        reference=reference,
        feature_name=_safe(names),
        categorical_feature=[n for n, name in enumerate(names) if name in vocabularies],
        params=material.params,
    )


def _safe(names: Sequence[str]) -> list[str]:
    """Replace characters that LightGBM refuses; the bundle's column list has the real names."""
    return ["".join(c if c.isalnum() or c == "_" else "_" for c in name) for name in names]

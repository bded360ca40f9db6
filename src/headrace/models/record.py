"""Trained models on disk: plain files, addressed by their content. Nothing is ever unpickled."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from headrace.core.errors import DeclarationError, StateError
from headrace.core.files import (
    canonical_json,
    digest,
    sha256,
    sync_folder,
    write_atomically,
    write_json,
)
from headrace.core.home import Home
from headrace.datasets.fits.fits import Fits
from headrace.datasets.manifest import ManifestColumn
from headrace.models.learners.bundle import LEARNER, LIMITS, PARTS, SOURCE, StoredLearner
from headrace.models.tasks import BINARY, PredictionTask, parsed_task

# Format 2 adds fitted transforms other than vocabularies; a reader of format 1 would ignore them.
# Format 3 adds tasks other than binary, format 4 adds learners other than LightGBM.
FORMAT, TASK_FORMAT = 4, 3
MODEL, BASELINE, FITS, FORM = "model.txt", "baseline.txt", "fits.json", "model.json"
METRICS, CREATED = "metrics.json", "created.json"
# Files that determine the bundle id. The metrics are not among them, because they follow from these
# files and the dataset; nor is the time of training.
_IDENTITY = (MODEL, BASELINE, FITS, FORM)
_CODE_IDENTITY = (LEARNER, FITS, FORM)  # LEARNER has the sha256 of each further file
LIGHTGBM = "lightgbm"


@dataclass(frozen=True)
class ModelRecord:
    """Stored model: its training data, its inputs and its metrics.

    `features` are its input columns in order. `definitions` are the hashes of their views; a
    feature vector must be computed with the same definitions. `base_rate` is the constant
    prediction that is best on the training rows: a share, a number, or the shares of the classes.
    `metrics` is the result of `evaluate` on the test split. `last_value` is the column of the last
    known value, if the model has this baseline. `learner` is the kind of learner: "lightgbm",
    "sklearn" or "trainer".
    """

    name: str
    bundle_id: str
    path: Path
    dataset: str
    content_hash: str
    target: str
    features: tuple[ManifestColumn, ...]
    baseline: tuple[ManifestColumn, ...]
    segments: tuple[str, ...]
    definitions: Mapping[str, str] = field(hash=False)
    params: Mapping[str, Any] = field(hash=False)
    rounds: int
    base_rate: float | tuple[float, ...]
    fits_id: str
    library: str
    trained_at: str
    metrics: Mapping[str, Any] = field(hash=False)
    task: PredictionTask = BINARY
    last_value: str | None = None
    learner: str = LIGHTGBM

    @property
    def ref(self) -> str:
        return f"{self.name}@{self.bundle_id[:12]}"

    def fits(self) -> Fits:
        return Fits.from_json(json.loads((self.path / FITS).read_text()))

    def text(self, file: str = MODEL) -> str:
        """Return a model of LightGBM in its text format.

        Raises:
            DeclarationError: the model has another learner.
        """
        if self.learner != LIGHTGBM:
            raise DeclarationError(
                f"{self.ref} is a model of the learner {self.learner}, not of LightGBM",
                where=str(self.path),
                fix="predict with headrace.models.predict",
            )
        return (self.path / file).read_text()

    def stored_learner(self) -> StoredLearner:
        """Return the learner of the team's code, which predicts in a worker process."""
        return StoredLearner.open(self.name, self.path)


def model_folder(home: Home, name: str) -> Path:
    return home.models / name


def form_of(record: ModelRecord, fits: Fits) -> dict[str, Any]:
    """Return the content of model.json: all that serving needs besides trees and transforms."""
    task = record.task.form()
    of_code = record.learner != LIGHTGBM
    return {
        "format": FORMAT if of_code else TASK_FORMAT if task else fits.format,
        "name": record.name,
        "dataset": record.dataset,
        "content_hash": record.content_hash,
        "target": record.target,
        "features": [asdict(column) for column in record.features],
        "baseline": [asdict(column) for column in record.baseline],
        "segments": list(record.segments),
        "definitions": dict(record.definitions),
        "params": dict(record.params),
        "rounds": record.rounds,
        "base_rate": record.base_rate,
        "fits": record.fits_id,
        "library": record.library,
        **({"task": task} if task else {}),
        **({"last_value": record.last_value} if record.last_value else {}),
        **({"learner": record.learner} if of_code else {}),
    }


def bundle_id(files: Mapping[str, bytes]) -> str:
    names = _CODE_IDENTITY if LEARNER in files else _IDENTITY
    return digest({name: sha256(files[name]) for name in names})


def write_bundle(
    home: Home,
    name: str,
    files: Mapping[str, bytes],
    created: Mapping[str, Any],
    learned: Path | None = None,
) -> str:
    """Write the files under their bundle id, atomically; keep an existing bundle.

    `learned` is the folder of a learner's files beside LEARNER; they are moved.
    """
    identity = bundle_id(files)
    folder = model_folder(home, name) / identity
    if folder.exists():
        return identity
    temporary = folder.with_name(f".{identity}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    for file, data in files.items():
        write_atomically(temporary / file, data)
    if learned is not None:
        _move(learned, temporary)
    write_json(temporary / CREATED, dict(created))
    temporary.rename(folder)
    sync_folder(folder.parent)
    return identity


def _move(learned: Path, bundle: Path) -> None:
    for name in (LIMITS, SOURCE, *PARTS):
        if not (learned / name).exists():
            continue
        (learned / name).rename(bundle / name)
        for path in (bundle / name, *(bundle / name).rglob("*")):
            sync_folder(path)


def load_record(home: Home, name: str, identity: str) -> ModelRecord:
    """Load a stored model. Raises StateError if the bundle is missing or was altered."""
    folder = model_folder(home, name) / identity
    if not (folder / FORM).exists():
        raise StateError(
            f"there is no model {name}@{identity[:12]}",
            where=str(folder),
            fix=f"{name} has {', '.join(bundle[:12] for bundle in bundles(home, name)) or 'none'}",
        )
    names = _CODE_IDENTITY if (folder / LEARNER).exists() else _IDENTITY
    actual = bundle_id({file: (folder / file).read_bytes() for file in names})
    if actual != identity:
        raise StateError(
            f"the bundle was altered: its id is now {actual[:12]}",
            where=str(folder),
            fix="restore it, or remove the folder and train again",
        )
    return _parsed(folder, identity)


def _parsed(folder: Path, identity: str) -> ModelRecord:
    form = json.loads((folder / FORM).read_text())
    if form["format"] > FORMAT:
        raise StateError(
            f"the bundle has format {form['format']}, this Headrace reads up to {FORMAT}",
            where=str(folder),
            fix="upgrade headrace",
        )
    parsed = {"format", "fits", "task", "base_rate"}
    attributes = {name: value for name, value in form.items() if name not in parsed}
    base_rate = form["base_rate"]
    columns = {
        name: tuple(ManifestColumn(**column) for column in form[name])
        for name in ("features", "baseline")
    }
    return ModelRecord(
        **{**attributes, **columns, "segments": tuple(form["segments"])},
        task=parsed_task(form.get("task")),
        base_rate=tuple(base_rate) if isinstance(base_rate, list) else base_rate,
        bundle_id=identity,
        path=folder,
        fits_id=form["fits"],
        trained_at=json.loads((folder / CREATED).read_text())["trained_at"],
        metrics=json.loads((folder / METRICS).read_text()),
    )


def bundles(home: Home, name: str) -> list[str]:
    """Return the ids of all complete bundles of a model."""
    folder = model_folder(home, name)
    if not folder.is_dir():
        return []
    return sorted(path.parent.name for path in folder.glob(f"[!.]*/{FORM}"))


def list_models(home: Home) -> list[ModelRecord]:
    """Return every trained model, by name and time."""
    if not home.models.is_dir():
        return []
    names = sorted(path.name for path in home.models.iterdir() if path.is_dir())
    records = [load_record(home, name, bundle) for name in names for bundle in bundles(home, name)]
    return sorted(records, key=lambda record: (record.name, record.trained_at, record.bundle_id))


def remembered(home: Home, name: str, inputs: str) -> str | None:
    """Return the bundle of an earlier training on `inputs` (a digest), if it still exists."""
    path = model_folder(home, name) / "inputs" / f"{inputs}.json"
    if not path.exists():
        return None
    identity = str(json.loads(path.read_text())["bundle"])
    return identity if (model_folder(home, name) / identity / FORM).exists() else None


def remember(home: Home, name: str, inputs: str, identity: str) -> None:
    path = model_folder(home, name) / "inputs" / f"{inputs}.json"
    write_atomically(path, canonical_json({"bundle": identity}))

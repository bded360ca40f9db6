"""Export of a stored model to MLflow: parameters, metrics, training release, files.

The export is one-way: MLflow shows the model and registers a version, but Headrace's own pointer
still decides which model is the champion. The export needs the extra `mlflow` (mlflow-skinny),
which is imported on use. Nothing is pickled: the artifacts are the bundle's own files.
"""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.core.errors import DeclarationError, StateError
from headrace.core.files import canonical_json
from headrace.core.home import Home
from headrace.datasets.store.store import Store
from headrace.models.learners.bundle import LEARNER, LIMITS, PARTS, SOURCE
from headrace.models.record import BASELINE, FITS, FORM, METRICS, MODEL, ModelRecord
from headrace.models.registry import pointer

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

BUNDLE = "headrace.bundle_id"
# MLflow's maximum lengths of a parameter value and of a dataset digest.
_PARAM, _DIGEST = 6_000, 36


@dataclass(frozen=True)
class Exported:
    """Run and version of a model in MLflow. `new` is False if MLflow already had both."""

    model: str
    tracking_uri: str
    experiment: str
    run_id: str
    version: str
    new: bool

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def export(
    home: Home, record: ModelRecord, tracking_uri: str, *, experiment: str | None = None
) -> Exported:
    """Log `record` as a run of an experiment (the model's name by default) and register a version.

    Args:
        home: Headrace home with the model and its release.
        record: model to export.
        tracking_uri: a server (`https://...`), a database (`sqlite:///mlflow.db`), or a folder.
            MLflow 3.17 accepts a folder only with MLFLOW_ALLOW_FILE_STORE=true.
        experiment: name of the experiment. It is created if missing, and so is the registered
            model, which has the name of the model.

    Exporting the same bundle again reuses its run and version, and logs only what is missing after
    a crash.

    Raises:
        DeclarationError: the extra is missing.
        StateError: MLflow cannot be reached or returns an error.
    """
    _required()
    from mlflow.exceptions import MlflowException

    name = experiment or record.name
    try:
        client = _client(tracking_uri)
        run, complete = _run(client, record, _experiment(client, name))
        if not complete:
            _log(client, run.info.run_id, home, record)
            client.set_terminated(run.info.run_id)
        version, created = _version(client, record, run)
    except MlflowException as error:
        raise StateError(
            f"MLflow reports an error: {error.message}", where=tracking_uri, fix="see the message"
        ) from error
    return Exported(
        record.ref, tracking_uri, name, run.info.run_id, version, not complete or created
    )


def _required() -> None:
    if find_spec("mlflow") is None:
        raise DeclarationError("MLflow is not installed", fix="pip install 'headrace[mlflow]'")


def _client(tracking_uri: str) -> "MlflowClient":
    from mlflow import MlflowClient, set_registry_uri

    # otherwise MLflow's own clients would start a Spark session if pyspark is installed
    set_registry_uri(tracking_uri)
    return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def _experiment(client: "MlflowClient", name: str) -> str:
    existing = client.get_experiment_by_name(name)
    return str(existing.experiment_id if existing else client.create_experiment(name))


def _run(client: "MlflowClient", record: ModelRecord, experiment: str) -> "tuple[Run, bool]":
    """Return the run of the bundle, and True if it is complete; reuse a run that crashed."""
    runs = client.search_runs([experiment], f"tags.`{BUNDLE}` = '{record.bundle_id}'")
    for run in runs:
        if run.info.status == "FINISHED":
            return run, True
    if runs:
        return runs[0], False
    tags = {BUNDLE: record.bundle_id, "headrace.dataset": record.dataset}
    return client.create_run(experiment, tags=tags, run_name=record.ref), False


def _log(client: "MlflowClient", run_id: str, home: Home, record: ModelRecord) -> None:
    from mlflow.entities import Metric, Param, RunTag

    params = [Param(key, _text(value)) for key, value in params_of(record).items()]
    metrics = [Metric(key, value, 0, 0) for key, value in flat(record.metrics)]
    tags = [
        RunTag("headrace.content_hash", record.content_hash),
        RunTag("headrace.fits", record.fits_id),
        RunTag("headrace.library", record.library),
        RunTag("headrace.trained_at", record.trained_at),
    ]
    client.log_batch(run_id, metrics=metrics, params=params, tags=tags)
    _log_dataset(client, run_id, home, record)
    learned = (LEARNER, LIMITS, SOURCE, *PARTS)
    for file in (MODEL, BASELINE, FITS, FORM, METRICS, *learned):
        if (path := record.path / file).is_dir():
            client.log_artifacts(run_id, str(path), f"model/{file}")
        elif path.exists():
            client.log_artifact(run_id, str(path), "model")
    with tempfile.TemporaryDirectory() as folder:
        source_file = Path(folder) / "dataset.json"
        source_file.write_bytes(canonical_json(_source(home, record)))
        client.log_artifact(run_id, str(source_file), "dataset")


def params_of(record: ModelRecord) -> dict[str, Any]:
    return {**record.params, "rounds": record.rounds, "target": record.target,
            "features": len(record.features)}  # fmt: skip


def _text(value: object) -> str:
    text = value if isinstance(value, str) else canonical_json(value).decode()
    return text if len(text) <= _PARAM else f"{text[: _PARAM - 1]}…"


def flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield (dotted path, number) of nested objects; skip lists, texts and nulls."""
    for key, part in value.items():
        if isinstance(part, Mapping):
            yield from flat(part, f"{prefix}{key}.")
        elif isinstance(part, int | float) and not isinstance(part, bool):
            yield f"{prefix}{key}", float(part)


def _source(home: Home, record: ModelRecord) -> dict[str, Any]:
    store = Store.find(home.store)
    return {
        "ref": record.dataset,
        "content_hash": record.content_hash,
        "store": str(store.storage.address),
        "opened_with": f'headrace.open("{record.dataset}")',
    }


def _log_dataset(client: "MlflowClient", run_id: str, home: Home, record: ModelRecord) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    columns = [{"name": c.name, "type": c.type, "role": c.role} for c in record.features]
    dataset = Dataset(
        name=record.dataset,
        digest=record.content_hash[:_DIGEST],
        source_type="headrace",
        source=canonical_json(_source(home, record)).decode(),
        schema=canonical_json({"columns": columns}).decode(),
    )
    context = InputTag("mlflow.data.context", "training")
    client.log_inputs(run_id, [DatasetInput(dataset, [context])])


def _version(client: "MlflowClient", record: ModelRecord, run: "Run") -> tuple[str, bool]:
    """Return the registered model version of this bundle, and True if it is new."""
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(record.name)
    except MlflowException:
        client.create_registered_model(record.name)
    for version in client.search_model_versions(f"name = '{record.name}'"):
        if version.tags.get(BUNDLE) == record.bundle_id:
            return str(version.version), False
    registered = client.create_model_version(
        record.name,
        f"{run.info.artifact_uri}/model",
        run.info.run_id,
        tags={BUNDLE: record.bundle_id, "headrace.dataset": record.dataset},
    )
    return str(registered.version), True


def mark_champion(home: Home, name: str, exported: Exported) -> bool:
    """Point MLflow's alias `champion` at this version if Headrace's champion is this model."""
    standing = pointer(home, name)
    if standing is None or not exported.model.startswith(f"{name}@{standing.bundle_id[:12]}"):
        return False
    _client(exported.tracking_uri).set_registered_model_alias(name, "champion", exported.version)
    return True

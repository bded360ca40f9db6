"""Answer of a model: its probability for a request, and the feature vector."""

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.models import ModelRecord, predict
from headrace.serving.log import Entry, ServedLog
from headrace.serving.vectors import FeatureService, Vector


@dataclass(frozen=True)
class Answer:
    """Answer of a model. `score` is the probability of its target; `model` is the bundle's id."""

    score: float
    model: str
    vector: Vector


def answer(
    service: FeatureService,
    record: ModelRecord,
    request: Mapping[str, object],
    at: int,
    *,
    log: ServedLog | None = None,
) -> Answer:
    """Return the model's answer to one request as of `at` (microseconds UTC), and log it before.

    Raises:
        DeclarationError: a view that the model uses has another definition than it was trained on.
        RequestError, StateError: see `FeatureService.vector`.
    """
    vector = service.vector(request, at)
    score = float(predict(record, vector.row, definitions=service.definitions)[0])
    prediction = Answer(score, f"{record.name}@{record.bundle_id}", vector)
    if log is not None:
        log.append([Entry(vector, prediction.model, score)])
    return prediction

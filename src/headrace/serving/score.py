"""Score one request: compute its feature vector and the model's probability."""

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.models import ModelRecord, predict
from headrace.serving.log import Entry, ServedLog
from headrace.serving.vectors import FeatureService, Vector


@dataclass(frozen=True)
class Answer:
    """Prediction: `score` is the probability of the target; `model` is `<name>@<bundle id>`."""

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
    """Score one request as of `at` (microseconds UTC), and log the answer before returning it.

    Raises:
        DeclarationError: a view has another definition than when the model was trained.
        RequestError, StateError: see `FeatureService.vector`.
    """
    vector = service.vector(request, at)
    score = float(predict(record, vector.row, definitions=service.definitions)[0])
    prediction = Answer(score, f"{record.name}@{record.bundle_id}", vector)
    if log is not None:
        log.append([Entry(vector, prediction.model, score)])
    return prediction

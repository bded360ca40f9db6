"""Score one request: compute its feature vector and the model's prediction."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.models import ModelRecord, predict
from headrace.serving.log import Entry, ServedLog
from headrace.serving.vectors import FeatureService, Vector


@dataclass(frozen=True)
class Answer:
    """Prediction of the model `<name>@<bundle id>`.

    `score` is the probability of label 1 (binary) or the predicted number (regression); None for
    classes. `prediction` has the values that a server answers: `score`, or `prediction`, or `class`
    and `probabilities`.
    """

    score: float | None
    model: str
    vector: Vector
    prediction: Mapping[str, Any] = field(default_factory=dict)


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
    (prediction,) = predict(record, vector.row, definitions=service.definitions)
    task = record.task
    model = f"{record.name}@{record.bundle_id}"
    answered = Answer(task.score(prediction), model, vector, task.answer(prediction))
    if log is not None:
        probabilities = answered.prediction.get("probabilities")
        log.append([Entry(vector, model, answered.score, probabilities=probabilities)])
    return answered

"""Tasks by the words of a declaration, and from the record of a bundle."""

from collections.abc import Mapping
from typing import Any

from headrace.core.errors import DeclarationError
from headrace.models.tasks.base import PredictionTask
from headrace.models.tasks.binary import BINARY
from headrace.models.tasks.multiclass import Multiclass
from headrace.models.tasks.regression import AbsoluteRegression, PoissonRegression, Regression

# By (task, loss); the first loss of a task is its default.
TASKS: dict[tuple[str, str | None], PredictionTask] = {
    (task.name, task.loss): task
    for task in (
        *(BINARY, Multiclass()),
        *(Regression(), AbsoluteRegression(), PoissonRegression()),
    )
}


def declared_task(name: str, loss: str | None, where: str) -> PredictionTask:
    """Return the task of a declaration, before training.

    Raises:
        DeclarationError: there is no such task, or it has no such loss.
    """
    losses = [key[1] for key in TASKS if key[0] == name]
    if not losses:
        names = dict.fromkeys(key[0] for key in TASKS)
        raise DeclarationError(
            f"there is no task {name!r}", where=where, fix=f"declare one of {', '.join(names)}"
        )
    if loss is not None and loss not in losses:
        choices = ", ".join(filter(None, losses))
        raise DeclarationError(
            f"the task {name} has no loss {loss!r}",
            where=where,
            fix=f"declare one of {choices}" if choices else "drop the loss; the task has only one",
        )
    return TASKS[name, loss or losses[0]]


def parsed_task(form: Mapping[str, Any] | None) -> PredictionTask:
    """Return the task of a stored model; a record without a task is of a binary model."""
    if form is None:
        return BINARY
    if "classes" in form:
        return Multiclass(tuple(form["classes"]))
    return TASKS[form["name"], form.get("loss")]

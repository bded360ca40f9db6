"""Tasks of models: what a model predicts, how it learns it, and how its loss is measured."""

from headrace.models.tasks.base import Class, Floats, Task, label_place
from headrace.models.tasks.binary import BINARY
from headrace.models.tasks.declared import declared_task, parsed_task

__all__ = ["BINARY", "Class", "Floats", "Task", "declared_task", "label_place", "parsed_task"]

"""Graph of a pipeline's parts: what each part reads, and the checks of these names.

Tables come first, then views, datasets, models and monitors. A part names the parts that it reads;
`check_parts` refuses a name that nothing has, a name that two parts have, and parts that read each
other.
"""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

from headrace.core.clock import DAY, duration
from headrace.core.errors import DeclarationError
from headrace.datasets.spec import DatasetSpec
from headrace.features.spec import FeatureView, Lookup, RowTransform, Spine, View
from headrace.lake.table import Table
from headrace.models.retraining_config import Retraining
from headrace.models.spec import ModelSpec
from headrace.monitoring.spec import MonitorSpec

Part = TypeVar("Part", Table, View, DatasetSpec, ModelSpec, MonitorSpec)
_VIEWS = (FeatureView, Lookup, RowTransform)
_CLASSES: dict[str, tuple[type, ...]] = {
    "tables": (Table,),
    "views": _VIEWS,
    "datasets": (DatasetSpec,),
    "models": (ModelSpec,),
    "monitors": (MonitorSpec,),
}


def check_kinds(parts: Mapping[str, Any], where: str) -> None:
    """Check that each kind of parts is a tuple of parts of its class, each with its own name.

    `parts` is {argument of the pipeline: parts}, such as `datasets`.

    Raises:
        DeclarationError: the value is not a tuple, a part is of another class, or two parts have
            one name.
    """
    for argument, values in parts.items():
        classes = _CLASSES[argument]
        names = " or ".join(kind.__name__ for kind in classes)
        if not isinstance(values, tuple):
            raise DeclarationError(
                f"{argument} is a {type(values).__name__}, not a tuple of parts",
                where=where,
                fix=f"write a tuple of {names}, with a comma: {argument}=(PART,)",
            )
        for number, part in enumerate(values):
            if not isinstance(part, classes):
                raise DeclarationError(
                    f"{part!r} is a {type(part).__name__}, not a {names}",
                    where=f"{where}, number {number} of {argument}",
                    fix=f"declare a {names}, or move it to the argument for its class",
                )
        _refuse_duplicates(argument, values, where)


def _refuse_duplicates(argument: str, parts: Sequence[Any], where: str) -> None:
    first: dict[str, Any] = {}
    for part in parts:
        if part.name in first:
            kind = argument.removesuffix("s")
            raise DeclarationError(
                f"{argument} declared twice: {part.name}",
                where=f"{where}{_files(kind, (first[part.name], part))}",
                fix=f"give one {kind} another name, or remove it",
            )
        first[part.name] = part


def check_parts(
    views: Sequence[View],
    datasets: Sequence[DatasetSpec],
    models: Sequence[ModelSpec],
    monitors: Sequence[MonitorSpec],
    where: str,
) -> None:
    """Check that each dataset, model and monitor reads parts that exist.

    Raises:
        DeclarationError: a name that a part reads does not exist, or must be chosen.
    """
    check_transforms(views, where)
    for dataset in datasets:
        dataset_views(dataset, views, where)
    for model in models:
        if all(dataset.name != model.dataset for dataset in datasets):
            raise _unknown("model", model, ("dataset", model.dataset), datasets, where)
    for monitor in monitors:
        monitored_model(monitor, models, where)


def dataset_views(
    dataset: DatasetSpec, views: Sequence[View], where: str = "the pipeline"
) -> tuple[View, ...]:
    """Return the views that a dataset reads, in the order of the pipeline; by default all.

    Raises:
        DeclarationError: a name or pattern of the dataset matches no view.
    """
    if dataset.views is None:
        return tuple(views)
    for pattern in dataset.views:
        if not any(fnmatchcase(view.name, pattern) for view in views):
            raise _unknown("dataset", dataset, ("view", pattern), views, where)
    return tuple(
        view for view in views if any(fnmatchcase(view.name, pattern) for pattern in dataset.views)
    )


def monitored_model(
    monitor: MonitorSpec, models: Sequence[ModelSpec], where: str = "the pipeline"
) -> ModelSpec:
    """Return the model of a monitor: the one that it names, or the only one.

    Raises:
        DeclarationError: there is no such model, or the monitor names none of several.
    """
    matches = [model for model in models if monitor.model in {"", model.name}]
    if len(matches) == 1:
        return matches[0]
    if matches:
        names = ", ".join(model.name for model in models)
        raise DeclarationError(
            f"monitor {monitor.name} names no model, and there are {len(models)}: {names}",
            where=f"{where}{_files('monitor', (monitor,))}",
            fix=f"name one: MonitorSpec(..., model={models[0].name!r})",
        )
    raise _unknown("monitor", monitor, ("model", monitor.model), models, where)


def check_retraining(
    retraining: Retraining,
    models: Sequence[ModelSpec],
    monitors: Sequence[MonitorSpec],
    where: str,
) -> None:
    """Refuse retrainings whose test split has too few days to ever promote a monitored model.

    Raises:
        DeclarationError: the test split is shorter than the task of a model needs.
    """
    for monitor in monitors:
        model = monitored_model(monitor, models, where)
        days = model.kind.least_days
        if duration(retraining.test) < days * DAY:
            raise DeclarationError(
                f"a retraining compares {model.name} on {retraining.test}, but promotes it only"
                f" after {days} days",
                where=f"{where}{_files('model', (model,))}",
                fix=f'widen the test split: Pipeline(..., retraining=Retraining(test="{days}d"))',
            )


def check_transforms(views: Sequence[View], where: str) -> None:
    """Refuse row transforms that read each other, which have no order to compute them in."""
    names = {view.name for view in views if isinstance(view, RowTransform)}
    reads = {
        view.name: [column for column in view.inputs if column in names]
        for view in views
        if isinstance(view, RowTransform)
    }
    if cycle := find_cycle(reads):
        members = [view for view in views if view.name in cycle]
        raise DeclarationError(
            f"row transforms read each other: {' -> '.join(cycle)}",
            where=f"{where}{_files('row transform', members)}",
            fix=f"compute {cycle[-2]} from columns that do not depend on {cycle[0]}",
        )


def find_cycle(reads: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Return names of parts that read each other, the first again at the end; () without a cycle.

    `reads` is {name: names that the part reads}.
    """
    finished: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> tuple[str, ...]:
        if name in path:
            return (*path[path.index(name) :], name)
        if name in finished:
            return ()
        for read in reads.get(name, ()):
            if cycle := visit(read, (*path, name)):
                return cycle
        finished.add(name)
        return ()

    return next((cycle for name in reads if (cycle := visit(name, ()))), ())


def dataset_spine(dataset: DatasetSpec, shared: Spine | None, where: str) -> Spine:
    """Return the spine of a dataset: its own, or the one that the pipeline's datasets share.

    Raises:
        DeclarationError: there is neither.
    """
    spine = dataset.spine or shared
    if spine is None:
        raise DeclarationError(
            f"dataset {dataset.name} has no spine, so it has no rows",
            where=f"{where}{_files('dataset', (dataset,))}",
            fix='name the table of its rows: DatasetSpec(..., spine=Spine("TABLE"))',
        )
    return spine


def only(parts: Sequence[Part], kind: str, where: str) -> Part:
    """Return the only part of a kind, such as "dataset".

    Raises:
        DeclarationError: there is none, or there are several, and the caller must name one.
    """
    if len(parts) == 1:
        return parts[0]
    if not parts:
        raise DeclarationError(
            f"{where} has no {kind}", where=where, fix=f"declare one: Pipeline(..., {kind}s=(...,))"
        )
    raise DeclarationError(
        f"{where} has {len(parts)} {kind}s",
        where=where,
        fix=f"name one: --{kind} with one of {', '.join(part.name for part in parts)}",
    )


def part_named(parts: Sequence[Part], name: str, kind: str, where: str) -> Part:
    """Return the part with this name.

    Raises:
        DeclarationError: no part of the kind has it.
    """
    for part in parts:
        if part.name == name:
            return part
    raise DeclarationError(
        f"{where} has no {kind} {name!r}", where=where, fix=_choices(kind, parts)
    )


def _unknown(
    kind: str,
    part: Any,  # noqa: ANN401 - a part of any kind
    reads: tuple[str, str],
    existing: Sequence[Any],
    where: str,
) -> DeclarationError:
    """Return the error for a part that reads a (kind, name) that does not exist."""
    read, name = reads
    return DeclarationError(
        f"{kind} {part.name} names {read} {name!r}, which does not exist"
        if name
        else f"{kind} {part.name} needs a {read}, and there is none",
        where=f"{where}{_files(kind, (part,))}",
        fix=_choices(read, existing),
    )


def _choices(kind: str, parts: Sequence[Any]) -> str:
    if not parts:
        return f"declare one: Pipeline(..., {kind}s=(...,))"
    return f"one of {', '.join(part.name for part in parts)}"


def _files(kind: str, parts: Sequence[Any]) -> str:
    """Return ", <kind> <name> in <file>" for each part whose module is found; else the name."""
    texts = []
    for part in parts:
        file = declared_in(part)
        texts.append(f", {kind} {part.name}" + (f" in {file}" if file else ""))
    return "".join(dict.fromkeys(texts))


def declared_in(part: object) -> str:
    """Return the file of the module that assigns a part to a global variable; "" if none does.

    Declarations do not know their file. Modules that only import the part are passed over.
    """
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        names = [name for name, value in list(vars(module).items()) if _contains(value, part)]
        if file and names and _assigns(Path(file), names):
            return str(file)
    return ""


def _contains(value: object, part: object) -> bool:
    if type(value) is tuple:  # not a subclass, which may refuse to be iterated
        return any(element is part for element in value)
    return value is part


def _assigns(file: Path, names: Sequence[str]) -> bool:
    assignment = rf"^(?:{'|'.join(map(re.escape, names))})\s*(?::[^=\n]+)?=(?!=)"
    try:
        return re.search(assignment, file.read_text(encoding="utf-8"), re.MULTILINE) is not None
    except (OSError, UnicodeDecodeError):
        return False

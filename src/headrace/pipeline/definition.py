"""Declaration of a pipeline; creating one checks its parts and the contracts of its tables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict, Unpack

from headrace.contracts import Contract
from headrace.core.clock import days
from headrace.core.errors import DeclarationError
from headrace.datasets.spec import DatasetSpec
from headrace.features.declaration_checks import check_mode
from headrace.features.spec import Label, Mode, Spine, View
from headrace.features.validate import validate, validate_unread
from headrace.lake.table import Table
from headrace.models.retraining_config import Retraining
from headrace.models.spec import ModelSpec
from headrace.monitoring.spec import MonitorSpec
from headrace.pipeline.parts import (
    check_kinds,
    check_parts,
    check_retraining,
    dataset_spine,
    dataset_views,
    monitored_model,
    only,
    part_named,
)
from headrace.serving.online.staleness import Staleness, limits
from headrace.sources.delivery_places import Place
from headrace.streams.spec import Stream, check_streams


class OnlyParts(TypedDict, total=False):
    """Arguments for a pipeline with one dataset, model or monitor; each replaces the only one."""

    spine: Spine | None
    dataset: DatasetSpec | None
    model: ModelSpec | None
    monitor: MonitorSpec | None


@dataclass(frozen=True, init=False)
class Pipeline:
    """Name and parts of a pipeline: tables, and optionally what is built from them.

    Each part names the parts that it reads: a dataset its spine, label and views, a model its
    dataset, a monitor its model. `spine`, `dataset`, `model` and `monitor` are short forms of
    `shared_spine`, `datasets`, `models` and `monitors` for one part.

    Attributes:
        tables: tables with their source, contract and suite; at least one.
        views: feature views, lookups and row transforms that datasets can read.
        datasets: datasets; each has its own rows, label, views and splits.
        models: models; several may be trained on one dataset.
        monitors: monitors; each watches one model.
        first_slot, last_slot: first and last daily partition, ISO days.
        mode: `declared` for imported history, `recorded` for data that arrived live.
        streams: event streams that feed tables, in addition to their sources.
        max_staleness: limits on the age of the online store by view, and the effect of exceeding
            them; not part of a feature's definition hash.
        retraining: how the models are retrained; the monitor's policy decides when.
        make_deliveries: for demonstrations only: writes sample deliveries to a folder.
        places: for verification only: function of a folder of such deliveries and the folder in
            the home that the sources read; it returns {table: place to which its producer
            delivers}.
        shared_spine: spine of the datasets that declare none.
        selected_from: the pipeline from which `for_dataset` and others have selected parts.
    """

    name: str
    tables: tuple[Table, ...]
    first_slot: str
    last_slot: str
    views: tuple[View, ...] = ()
    datasets: tuple[DatasetSpec, ...] = ()
    models: tuple[ModelSpec, ...] = ()
    monitors: tuple[MonitorSpec, ...] = ()
    mode: Mode = "declared"
    make_deliveries: Callable[[Path], object] | None = None
    places: Callable[[Path, Path], Mapping[str, Place]] | None = None
    streams: tuple[Stream, ...] = ()
    max_staleness: tuple[Staleness, ...] = ()
    retraining: Retraining = field(default_factory=Retraining)
    shared_spine: Spine | None = None
    selected_from: "Pipeline | None" = field(default=None, repr=False, compare=False)

    def __init__(
        self,
        *,
        name: str,
        tables: tuple[Table, ...],
        first_slot: str,
        last_slot: str,
        views: tuple[View, ...] = (),
        datasets: tuple[DatasetSpec, ...] = (),
        models: tuple[ModelSpec, ...] = (),
        monitors: tuple[MonitorSpec, ...] = (),
        mode: Mode = "declared",
        make_deliveries: Callable[[Path], object] | None = None,
        places: Callable[[Path, Path], Mapping[str, Place]] | None = None,
        streams: tuple[Stream, ...] = (),
        max_staleness: tuple[Staleness, ...] = (),
        retraining: Retraining | None = None,
        shared_spine: Spine | None = None,
        selected_from: "Pipeline | None" = None,
        **only_parts: Unpack[OnlyParts],
    ) -> None:
        where = f"pipeline {name}"
        values = {
            "name": name,
            "tables": tables,
            "views": views,
            "datasets": _or_only(datasets, only_parts, "dataset", where),
            "models": _or_only(models, only_parts, "model", where),
            "monitors": _or_only(monitors, only_parts, "monitor", where),
            "first_slot": first_slot,
            "last_slot": last_slot,
            "mode": mode,
            "make_deliveries": make_deliveries,
            "places": places,
            "streams": streams,
            "max_staleness": max_staleness,
            "retraining": retraining or Retraining(),
            "shared_spine": only_parts.get("spine") or shared_spine,
            "selected_from": selected_from,
        }
        for attribute, value in values.items():
            object.__setattr__(self, attribute, value)
        if unknown := set(only_parts) - set(OnlyParts.__annotations__):
            raise DeclarationError(
                f"a pipeline has no {', '.join(sorted(unknown))}",
                where=where,
                fix=f"use {', '.join(values)}",
            )
        self._check()

    def _check(self) -> None:
        where = f"pipeline {self.name}"
        kinds = ("tables", "views", "datasets", "models", "monitors")
        check_kinds({kind: getattr(self, kind) for kind in kinds}, where)
        if not self.tables:
            raise DeclarationError(
                f"{where} has no table", where=where, fix="declare one: Pipeline(tables=(...,))"
            )
        check_mode(self.mode)
        check_streams(self.streams, self.contracts, where)
        check_parts(self.views, self.datasets, self.models, self.monitors, where)
        check_retraining(self.retraining, self.models, self.monitors, where)
        read: set[str] = set()
        for dataset in self.datasets:
            views = dataset_views(dataset, self.views)
            validate(views, self.contracts, self.spine_of(dataset), dataset.label)
            read |= {view.name for view in views}
        validate_unread([view for view in self.views if view.name not in read], self.contracts)
        limits(self.max_staleness, self.views)

    # the only part of a kind

    @property
    def dataset(self) -> DatasetSpec:
        """The only dataset.

        Raises:
            DeclarationError: there is none, or there are several.
        """
        return only(self.datasets, "dataset", f"pipeline {self.name}")

    @property
    def model(self) -> ModelSpec:
        """The only model.

        Raises:
            DeclarationError: there is none, or there are several.
        """
        return only(self.models, "model", f"pipeline {self.name}")

    @property
    def monitor(self) -> MonitorSpec:
        """The only monitor.

        Raises:
            DeclarationError: there is none, or there are several.
        """
        return only(self.monitors, "monitor", f"pipeline {self.name}")

    @property
    def spine(self) -> Spine:
        """The spine of the only dataset.

        Raises:
            DeclarationError: there is no dataset, or there are several.
        """
        return self.spine_of(self.dataset)

    @property
    def label(self) -> Label:
        return self.dataset.label

    # the pipeline of one part

    def for_dataset(self, name: str) -> "Pipeline":
        """Return the pipeline with one dataset, the views that it reads, its models and monitors.

        Everything that builds, serves or traces a dataset reads such a pipeline.
        """
        dataset = part_named(self.datasets, name, "dataset", f"pipeline {self.name}")
        models = tuple(model for model in self.models if model.dataset == name)
        return self._with_parts((dataset,), models, self._monitors_of(models))

    def for_model(self, name: str) -> "Pipeline":
        """Return the pipeline with one model, its dataset with its views, and its monitors."""
        model = part_named(self.models, name, "model", f"pipeline {self.name}")
        dataset = part_named(self.datasets, model.dataset, "dataset", f"pipeline {self.name}")
        return self._with_parts((dataset,), (model,), self._monitors_of((model,)))

    def for_monitor(self, name: str) -> "Pipeline":
        """Return the pipeline with one monitor, its model, and the model's dataset and views."""
        monitor = part_named(self.monitors, name, "monitor", f"pipeline {self.name}")
        model = monitored_model(monitor, self.models)
        dataset = part_named(self.datasets, model.dataset, "dataset", f"pipeline {self.name}")
        return self._with_parts((dataset,), (model,), (monitor,))

    def each_dataset(self) -> "list[Pipeline]":
        """Return the pipeline of each dataset; see `for_dataset`."""
        return [self.for_dataset(dataset.name) for dataset in self.datasets]

    def each_model(self) -> "list[Pipeline]":
        """Return the pipeline of each model; see `for_model`."""
        return [self.for_model(model.name) for model in self.models]

    def each_monitor(self) -> "list[Pipeline]":
        """Return the pipeline of each monitor; see `for_monitor`."""
        return [self.for_monitor(monitor.name) for monitor in self.monitors]

    def with_dataset(self, dataset: DatasetSpec) -> "Pipeline":
        """Return the pipeline with its only dataset replaced, such as by one with other splits."""
        return replace(self, datasets=(dataset,))

    def _monitors_of(self, models: tuple[ModelSpec, ...]) -> tuple[MonitorSpec, ...]:
        return tuple(
            monitor for monitor in self.monitors if monitored_model(monitor, self.models) in models
        )

    def _with_parts(
        self,
        datasets: tuple[DatasetSpec, ...],
        models: tuple[ModelSpec, ...],
        monitors: tuple[MonitorSpec, ...],
    ) -> "Pipeline":
        """Return the pipeline with these parts; itself if it has no others."""
        views = dataset_views(datasets[0], self.views)
        parts = (views, datasets, models, monitors)
        if parts == (self.views, self.datasets, self.models, self.monitors):
            return self
        kinds: tuple[tuple[DatasetSpec | ModelSpec | MonitorSpec, ...], ...]
        kinds = (datasets, models, monitors)
        names = tuple(tuple(part.name for part in kind) for kind in kinds)
        if names not in self._selections:
            view_names = {view.name for view in views}
            staleness = [limit for limit in self.max_staleness if limit.view in view_names]
            self._selections[names] = replace(
                self,
                views=views,
                datasets=datasets,
                models=models,
                monitors=monitors,
                max_staleness=tuple(staleness),
                selected_from=self.full_pipeline,
            )
        return self._selections[names]

    @cached_property
    def _selections(self) -> "dict[tuple[tuple[str, ...], ...], Pipeline]":
        """Pipelines of selected parts, which are checked once."""
        return {}

    @property
    def full_pipeline(self) -> "Pipeline":
        """The pipeline as declared, with all parts."""
        return self.selected_from or self

    # parts of the names of files in the home

    @property
    def rows_scope(self) -> str:
        """Name of the first dataset with this spine; empty for the pipeline's first spine.

        It is in the path of materialised views, which hold one row for each row of the spine.
        """
        return self._scope(views=False)

    @property
    def vector_scope(self) -> str:
        """Name of the first dataset with this spine and these views; empty for the first ones.

        It is in the path of the served log, whose vectors have the features of these views.
        """
        return self._scope(views=True)

    def _scope(self, *, views: bool) -> str:
        first = self.full_pipeline.datasets[0]
        for dataset in self.full_pipeline.datasets:
            same_rows = self.full_pipeline.spine_of(dataset) == self.spine
            if same_rows and (
                not views or dataset_views(dataset, self.full_pipeline.views) == self.views
            ):
                return "" if dataset is first else dataset.name
        return "" if self.dataset.name == first.name else self.dataset.name

    def spine_of(self, dataset: DatasetSpec) -> Spine:
        return dataset_spine(dataset, self.shared_spine, f"pipeline {self.name}")

    @property
    def contracts(self) -> dict[str, Contract]:
        return {table.name: table.contract for table in self.tables}

    @cached_property
    def slots(self) -> list[str]:
        return days(self.first_slot, self.last_slot)

    def slots_of(self, table: Table) -> list[str]:
        """Return the partitions of `table`: all days, or `snapshot` if it is not partitioned."""
        return self.slots if table.partitioned else ["snapshot"]

    def table(self, name: str) -> Table:
        return part_named(self.tables, name, "table", f"pipeline {self.name}")


def _or_only(parts: Any, only_parts: OnlyParts, kind: str, where: str) -> Any:  # noqa: ANN401 - checked by check_kinds
    """Return the parts of a kind, or the one that the short form of the argument declares."""
    part = only_parts.get(kind)
    if part is None:
        return parts
    if len(parts) > 1:
        raise DeclarationError(
            f"{kind} declares one {kind}, but {kind}s declares {len(parts)}",
            where=where,
            fix=f"declare all of them in {kind}s",
        )
    return (part,)

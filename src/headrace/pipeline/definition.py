"""Declaration of a pipeline; creating one checks it against the contracts of its tables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from headrace.contracts import Contract
from headrace.core.clock import days
from headrace.core.errors import DeclarationError
from headrace.datasets.spec import DatasetSpec
from headrace.features.declaration_checks import check_mode
from headrace.features.spec import Label, Mode, Spine, View
from headrace.features.validate import validate
from headrace.lake.table import Table
from headrace.models.retraining_config import Retraining
from headrace.models.spec import ModelSpec
from headrace.monitoring.spec import MonitorSpec
from headrace.serving.online.staleness import Staleness, limits
from headrace.sources.delivery_places import Place
from headrace.streams.spec import Stream, check_streams


@dataclass(frozen=True)
class Pipeline:
    """Declaration of sources, contracts, features, dataset, model and monitor.

    Attributes:
        first_slot, last_slot: first and last daily partition, ISO days.
        mode: `declared` for imported history, `recorded` for data that arrived live.
        streams: event streams that feed tables, in addition to their sources.
        max_staleness: limits on the age of the online store by view, and the effect of exceeding
            them; not part of a feature's definition hash.
        retraining: how the model is retrained; the monitor's policy decides when.
        make_deliveries: for demonstrations only: writes sample deliveries to a folder.
        places: for verification only: function of a folder of such deliveries and the folder in
            the home that the sources read; it returns {table: place to which its producer
            delivers}.
    """

    name: str
    tables: tuple[Table, ...]
    spine: Spine
    views: tuple[View, ...]
    dataset: DatasetSpec
    model: ModelSpec
    monitor: MonitorSpec
    first_slot: str
    last_slot: str
    mode: Mode = "declared"
    make_deliveries: Callable[[Path], object] | None = None
    places: Callable[[Path, Path], Mapping[str, Place]] | None = None
    streams: tuple[Stream, ...] = ()
    max_staleness: tuple[Staleness, ...] = ()
    retraining: Retraining = field(default_factory=Retraining)

    def __post_init__(self) -> None:
        names = [table.name for table in self.tables]
        duplicates = sorted({name for name in names if names.count(name) > 1})
        if duplicates:
            raise DeclarationError(
                f"tables declared twice: {', '.join(duplicates)}", where=f"pipeline {self.name}"
            )
        check_mode(self.mode)
        check_streams(self.streams, self.contracts, f"pipeline {self.name}")
        validate(self.views, self.contracts, self.spine, self.label)
        limits(self.max_staleness, self.views)

    @property
    def label(self) -> Label:
        return self.dataset.label

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
        for table in self.tables:
            if table.name == name:
                return table
        raise DeclarationError(
            f"pipeline {self.name} has no table {name!r}",
            fix=f"one of {', '.join(table.name for table in self.tables)}",
        )

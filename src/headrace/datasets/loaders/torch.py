"""Batches of rows for torch: shuffled by seed and epoch, resumable, distributed over readers.

    rows = data.split("train").torch(batch=1024, seed=7)
    for epoch in range(3):
        for x, y in rows:                     # float32 [1024, features], labels in their dtype
            ...
    state = rows.state_dict()                 # a few numbers; rows.load_state_dict(state) resumes

Each row is yielded exactly once per epoch, over all ranks of a process group and their workers.
With workers, use `rows.loader(num_workers=2)`, whose state counts the batches it has yielded, not
those that workers have read ahead. A plain `DataLoader(rows, batch_size=None, num_workers=2)`
distributes the rows as well; with it, call `rows.set_epoch(epoch)` before each epoch, as for a
distributed sampler.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch  # type: ignore[import-not-found]
from torch.utils.data import DataLoader, IterableDataset, get_worker_info  # type: ignore[import-not-found]

from headrace.core.errors import DeclarationError
from headrace.datasets.fits.fits import Fits
from headrace.datasets.loaders.arrays import (
    Encoder,
    Form,
    Nulls,
    X,
    Y,
    fits_for,
)
from headrace.datasets.loaders.stream import Arrays, At, RowStream
from headrace.datasets.store.storage import S3

if TYPE_CHECKING:
    from headrace.datasets.reader import Dataset

FORMAT = 1


class TorchBatch(NamedTuple):
    """`x`: [rows, features]; `y`: [rows]."""

    x: Any
    y: Any


class TorchRows(IterableDataset):  # type: ignore[misc]
    """An iterable dataset of batches; call it to get a copy with other options.

    Each iteration runs through one epoch; the next iteration runs through the next epoch.
    """

    def __init__(
        self,
        data: "Dataset",
        *,
        batch: int = 1024,
        shuffle: bool = True,
        seed: int = 0,
        buffer: int = 262_144,
        drop_last: bool = False,
        form: Form = "xy",
        dtype: str = "float32",
        nulls: Nulls = "nan",
        fits: bool = True,
        vocabularies: Mapping[str, Sequence[Any]] | None = None,
        rank: int | None = None,
        world: int | None = None,
    ) -> None:
        """Set the options of the batches; nothing is read.

        Args:
            data: a release, or a selection of one.
            batch: rows of a batch.
            shuffle: shuffle by `seed` and epoch; otherwise keep the order of the release.
            seed: seed of the order.
            buffer: minimum number of rows to shuffle together; memory holds at most one part more.
            drop_last: drop an incomplete last batch, so that all readers yield the same number.
            form: `xy` yields (x, y): the features as a matrix, and the label; `columns` yields a
                dict of tensors of features and label. Selected columns replace the features,
                whatever their role.
            dtype: `float32` or `float64`.
            nulls: replacement of nulls: `nan`, a number, or `refuse`. See `Encoder`.
            fits: apply the transforms that were fitted on the training rows: imputation, scaling,
                vocabularies.
            vocabularies: values of categorical columns by name, in the order of their codes,
                instead of the fitted vocabularies.
            rank: rank of this process among `world`; by default from torch.distributed.
            world: number of processes that share the rows.

        Raises:
            DeclarationError: an option is invalid, or a column cannot be encoded as a number.
        """
        super().__init__()
        self._data = data
        self._options: dict[str, Any] = {
            "batch": batch, "shuffle": shuffle, "seed": seed, "buffer": buffer,
            "drop_last": drop_last, "form": form, "dtype": dtype, "nulls": nulls,
            "fits": fits,
            "vocabularies": vocabularies, "rank": rank, "world": world,
        }  # fmt: skip
        if batch < 1 or buffer < 1:
            raise DeclarationError(
                f"batch={batch} or buffer={buffer} is too small",
                where=data.ref,
                fix="give at least 1",
            )
        encoder = encoder_of(
            data,
            form,
            dtype,
            nulls,
            fits_for(data.store, data.manifest, vocabularies, include_fitted=fits),
        )
        scan = replace(data.scan, columns=encoder.read)
        self.stream = RowStream(scan, encoder, batch, seed, shuffle, buffer, drop_last)
        self.epoch = 0
        self._at = At()
        self._next: At | None = None

    def __call__(self, **options: Any) -> "TorchRows":  # noqa: ANN401 - as of __init__
        """Return the same rows with other options."""
        return TorchRows(self._data, **{**self._options, **options})

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of `x`, in order, or of the dict."""
        return self.stream.encoder.outputs

    def __len__(self) -> int:
        """Batches per epoch for this rank without workers; an upper bound if rows are filtered."""
        return self.stream.max_batches(*self.ranks())

    @property
    def is_remote(self) -> bool:
        """True if parts are fetched from a remote store."""
        return str(self._data.store.root).startswith(S3)

    def ranks(self) -> tuple[int, int]:
        """Rank of this process, and the number of processes."""
        rank, world = self._options["rank"], self._options["world"]
        distributed = torch.distributed
        if rank is None and distributed.is_available() and distributed.is_initialized():
            return distributed.get_rank(), distributed.get_world_size()
        position = (rank or 0, world or 1)
        if not 0 <= position[0] < position[1]:
            raise DeclarationError(f"rank={rank} of world={world}", fix="rank=0, world=1")
        return position

    def __iter__(self) -> Iterator[Any]:
        info = get_worker_info()
        rank, world = self.ranks()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        start, self._next = self._next, None
        self._at = start or At()
        shard, shards = rank * workers + worker, world * workers
        for at, arrays in self.stream.batches(self.epoch, shard, shards, start):
            self._at = at
            yield self.tensors(arrays)
        self.set_epoch(self.epoch + 1)

    def tensors(self, arrays: Arrays) -> Any:  # noqa: ANN401 - Batch, or a dict of tensors
        by_name = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return TorchBatch(by_name[X], by_name[Y]) if self.stream.encoder.form == "xy" else by_name

    def set_epoch(self, epoch: int) -> None:
        """Start the next iteration at the beginning of `epoch`."""
        self.epoch, self._at, self._next = epoch, At(), None

    def state_dict(self) -> dict[str, Any]:
        """Position of this reader as plain values, to be saved with the weights of a model."""
        return {**self.order_options(1), "epoch": self.epoch, "at": asdict(self._at)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume at the position of `state` in the next iteration.

        Raises:
            DeclarationError: the state was saved for other rows or other options.
        """
        self.check(state, 1)
        self.set_epoch(int(state["epoch"]))
        self._next = self._at = At(**state["at"])

    def loader(self, num_workers: int = 0, **options: Any) -> "Loader":  # noqa: ANN401
        """A resumable torch `DataLoader` with workers; it takes `options`."""
        return Loader(self, num_workers, **options)

    def order_options(self, readers: int) -> dict[str, Any]:
        """Values that determine the order of rows; a state with other values is refused."""
        stream, (rank, world) = self.stream, self.ranks()
        scan = stream.scan
        return {
            "format": FORMAT, "content_hash": scan.manifest.content_hash,
            "splits": list(scan.splits), "where": str(scan.where), "batch": stream.batch,
            "seed": stream.seed, "shuffle": stream.shuffle, "buffer": stream.buffer,
            "drop_last": stream.drop_last, "rank": rank, "world": world, "workers": readers,
        }  # fmt: skip

    def check(self, state: Mapping[str, Any], readers: int) -> None:
        for name, value in self.order_options(readers).items():
            if state.get(name) != value:
                raise DeclarationError(
                    f"the state was saved with {name} {state.get(name)!r}, not {value!r}",
                    where=self._data.ref,
                    fix=f"use the {name} of the state, or start the epoch again",
                )


class Loader:
    """A `DataLoader` over `rows` that records which batches it has yielded."""

    def __init__(self, rows: TorchRows, num_workers: int, **options: Any) -> None:  # noqa: ANN401
        self._rows = rows
        self._workers = num_workers
        # Clients of a remote store have threads, which do not survive a fork.
        spawned = {"multiprocessing_context": "spawn"} if num_workers and rows.is_remote else {}
        self._options = {**spawned, **options}
        self._readers = max(num_workers, 1)
        self._ats = self._start()
        self._turn = 0
        self._resumed = False

    def _start(self) -> list[At]:
        return [At() for _ in range(self._readers)]

    def __len__(self) -> int:
        """Batches per epoch for this rank; an upper bound if rows are filtered."""
        rank, world = self._rows.ranks()
        return sum(
            self._rows.stream.max_batches(rank * self._readers + reader, world * self._readers)
            for reader in range(self._readers)
        )

    def __iter__(self) -> Iterator[Any]:
        if not self._resumed:
            self._ats, self._turn = self._start(), 0
        self._resumed = False
        tagged = _Tagged(self._rows, tuple(self._ats), self._turn)
        loader = DataLoader(tagged, batch_size=None, num_workers=self._workers, **self._options)
        for reader, chunk, row, batch in loader:
            self._ats[reader] = At(chunk, row)
            self._turn = (reader + 1) % self._readers
            yield batch
        self.set_epoch(self._rows.epoch + 1)

    def set_epoch(self, epoch: int) -> None:
        """Start the next iteration at the beginning of `epoch`."""
        self._rows.set_epoch(epoch)
        self._ats, self._turn, self._resumed = self._start(), 0, False

    def state_dict(self) -> dict[str, Any]:
        """Position after the last yielded batch, without batches that workers have read ahead."""
        order_options = self._rows.order_options(self._readers)
        ats = [asdict(at) for at in self._ats]
        return {**order_options, "epoch": self._rows.epoch, "turn": self._turn, "at": ats}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume at the position of `state`; the numbers of workers and ranks must be the same.

        Raises:
            DeclarationError: the state was saved for other rows or other options.
        """
        self._rows.check(state, self._readers)
        self._rows.set_epoch(int(state["epoch"]))
        self._ats = [At(**at) for at in state["at"]]
        self._turn, self._resumed = int(state["turn"]), True


class _Tagged(IterableDataset):  # type: ignore[misc]
    """Batches, each with its reader and the reader's position after this batch."""

    def __init__(self, rows: TorchRows, ats: tuple[At, ...], turn: int) -> None:
        super().__init__()
        self._rows, self._ats, self._turn = rows, ats, turn

    def __iter__(self) -> Iterator[tuple[int, int, int, Any]]:
        info = get_worker_info()
        rank, world = self._rows.ranks()
        readers = len(self._ats)
        # DataLoader asks its first worker first, so that worker gets the reader whose turn it is.
        reader = ((info.id if info else 0) + self._turn) % readers
        shard, shards = rank * readers + reader, world * readers
        batches = self._rows.stream.batches(self._rows.epoch, shard, shards, self._ats[reader])
        for at, arrays in batches:
            yield reader, at.chunk, at.row, self._rows.tensors(arrays)


def encoder_of(data: "Dataset", form: Form, dtype: str, nulls: Nulls, fits: Fits) -> Encoder:
    """Encoder for the selected columns that `form` uses."""
    manifest = data.manifest
    target = manifest.target
    columns = data.columns
    if len(columns) == len(manifest.columns):
        columns = (*manifest.features, target)
    if form == "xy":
        columns = tuple(name for name in columns if name not in manifest.of_role("label"))
    types = {column.name: column.type for column in manifest.columns}
    label = target if form == "xy" else ""
    return Encoder(data.ref, types, columns, label, form, dtype, nulls, fits.only(columns))

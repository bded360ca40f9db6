"""Rows for torch: in batches, shuffled by seed and epoch, resumable, shared out among readers.

    rows = data.split("train").torch(batch=1024, seed=7)
    for epoch in range(3):
        for x, y in rows:                     # float32 [1024, features], labels in their dtype
            ...
    state = rows.state_dict()                 # a few numbers; rows.load_state_dict(state) goes on

Every row comes exactly once an epoch, over all ranks of a process group and all workers together.
With workers, use `rows.loader(num_workers=2)`, whose state counts what was handed out, not what
workers have read ahead. A plain `DataLoader(rows, batch_size=None, num_workers=2)` shares the rows
out as well; there, call `rows.set_epoch(epoch)` before each epoch, as for a distributed sampler.
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
from headrace.datasets.loaders.stream import Arrays, At, Stream
from headrace.datasets.store.storage import S3

if TYPE_CHECKING:
    from headrace.datasets.reader import Dataset

FORMAT = 1


class Batch(NamedTuple):
    """`x`: [rows, features]; `y`: [rows]."""

    x: Any
    y: Any


class TorchRows(IterableDataset):  # type: ignore[misc]
    """An iterable dataset of batches; calling it gives one with other options.

    Iterating goes through the epoch at hand, and the next time through the one after it.
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
        """Describe how rows come; nothing is read.

        Args:
            data: a release, or a selection of one.
            batch: rows of a batch.
            shuffle: by `seed` and epoch; the order of the release otherwise.
            seed: of the order.
            buffer: rows that are shuffled together, at least: so many, and a part, are in memory.
            drop_last: leave out what does not fill a batch, so that all readers give as many.
            form: `xy` gives (x, y): the features as a matrix, and the label; `columns` a dict of
                tensors, features and label. Where columns are selected, these are taken instead
                of the features, whatever they are.
            dtype: `float32` or `float64`.
            nulls: what stands for a null: `nan`, a number, or `refuse`. See `Encoder`.
            fits: apply what the release has fitted on its training rows: imputation, scales,
                vocabularies.
            vocabularies: values of categorical columns by name, in the order of their codes,
                instead of those that are fitted.
            rank: which of `world` processes this is; by default as torch.distributed says.
            world: how many processes share the rows.

        Raises:
            DeclarationError: an option makes no sense, or a column cannot be a number.
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
                f"batch={batch}, buffer={buffer}", where=data.ref, fix="give at least 1"
            )
        encoder = encoder_of(
            data, form, dtype, nulls, fits_for(data.store, data.manifest, vocabularies, own=fits)
        )
        scan = replace(data.scan, columns=encoder.read)
        self.stream = Stream(scan, encoder, batch, seed, shuffle, buffer, drop_last)
        self.epoch = 0
        self._at = At()
        self._next: At | None = None

    def __call__(self, **options: Any) -> "TorchRows":  # noqa: ANN401 - as of __init__
        """The same rows with other options."""
        return TorchRows(self._data, **{**self._options, **options})

    @property
    def columns(self) -> tuple[str, ...]:
        """Of `x`, in order; or of the dict."""
        return self.stream.encoder.outputs

    def __len__(self) -> int:
        """Batches of an epoch for this rank without workers; at most so many with a condition."""
        return self.stream.most(*self.ranks())

    @property
    def is_remote(self) -> bool:
        """Whether parts are fetched."""
        return str(self._data.store.root).startswith(S3)

    def ranks(self) -> tuple[int, int]:
        """This process, and how many there are."""
        rank, world = self._options["rank"], self._options["world"]
        distributed = torch.distributed
        if rank is None and distributed.is_available() and distributed.is_initialized():
            return distributed.get_rank(), distributed.get_world_size()
        found = (rank or 0, world or 1)
        if not 0 <= found[0] < found[1]:
            raise DeclarationError(f"rank={rank} of world={world}", fix="rank=0, world=1")
        return found

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
        found = {name: torch.from_numpy(one) for name, one in arrays.items()}
        return Batch(found[X], found[Y]) if self.stream.encoder.form == "xy" else found

    def set_epoch(self, epoch: int) -> None:
        """The next iteration goes through `epoch` from its start."""
        self.epoch, self._at, self._next = epoch, At(), None

    def state_dict(self) -> dict[str, Any]:
        """Where this reader stands; plain values, to be saved beside a model's weights."""
        return {**self.made_of(1), "epoch": self.epoch, "at": asdict(self._at)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The next iteration goes on where `state` was taken.

        Raises:
            DeclarationError: it was taken of other rows, or with other options.
        """
        self.check(state, 1)
        self.set_epoch(int(state["epoch"]))
        self._next = self._at = At(**state["at"])

    def loader(self, num_workers: int = 0, **options: Any) -> "Loader":  # noqa: ANN401
        """A torch `DataLoader` with workers that can be resumed, with its `options`."""
        return Loader(self, num_workers, **options)

    def made_of(self, readers: int) -> dict[str, Any]:
        """All that decides the order of rows; a state of other values is refused."""
        stream, (rank, world) = self.stream, self.ranks()
        scan = stream.scan
        return {
            "format": FORMAT, "content_hash": scan.manifest.content_hash,
            "splits": list(scan.splits), "where": str(scan.where), "batch": stream.batch,
            "seed": stream.seed, "shuffle": stream.shuffle, "buffer": stream.buffer,
            "drop_last": stream.drop_last, "rank": rank, "world": world, "workers": readers,
        }  # fmt: skip

    def check(self, state: Mapping[str, Any], readers: int) -> None:
        for name, value in self.made_of(readers).items():
            if state.get(name) != value:
                raise DeclarationError(
                    f"the state was taken with {name} {state.get(name)!r}, here it is {value!r}",
                    where=self._data.ref,
                    fix=f"go on with the {name} it was taken with, or start the epoch anew",
                )


class Loader:
    """A `DataLoader` over `rows` that knows what of it was handed out."""

    def __init__(self, rows: TorchRows, num_workers: int, **options: Any) -> None:  # noqa: ANN401
        self._rows = rows
        self._workers = num_workers
        # What talks to a remote store has threads, which do not live on in a forked worker.
        spawned = {"multiprocessing_context": "spawn"} if num_workers and rows.is_remote else {}
        self._options = {**spawned, **options}
        self._readers = max(num_workers, 1)
        self._ats = self._start()
        self._turn = 0
        self._resumed = False

    def _start(self) -> list[At]:
        return [At() for _ in range(self._readers)]

    def __len__(self) -> int:
        """Batches of an epoch for this rank; at most so many with a condition on rows."""
        rank, world = self._rows.ranks()
        return sum(
            self._rows.stream.most(rank * self._readers + one, world * self._readers)
            for one in range(self._readers)
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
        """The next iteration goes through `epoch` from its start."""
        self._rows.set_epoch(epoch)
        self._ats, self._turn, self._resumed = self._start(), 0, False

    def state_dict(self) -> dict[str, Any]:
        """What of the epoch was handed out; batches that workers have read ahead were not."""
        made_of = self._rows.made_of(self._readers)
        ats = [asdict(at) for at in self._ats]
        return {**made_of, "epoch": self._rows.epoch, "turn": self._turn, "at": ats}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The next iteration goes on where `state` was taken; workers and ranks must be as many.

        Raises:
            DeclarationError: it was taken of other rows, or with other options.
        """
        self._rows.check(state, self._readers)
        self._rows.set_epoch(int(state["epoch"]))
        self._ats = [At(**at) for at in state["at"]]
        self._turn, self._resumed = int(state["turn"]), True


class _Tagged(IterableDataset):  # type: ignore[misc]
    """Batches with the reader that gave them, and where it stands behind them."""

    def __init__(self, rows: TorchRows, ats: tuple[At, ...], turn: int) -> None:
        super().__init__()
        self._rows, self._ats, self._turn = rows, ats, turn

    def __iter__(self) -> Iterator[tuple[int, int, int, Any]]:
        info = get_worker_info()
        rank, world = self._rows.ranks()
        readers = len(self._ats)
        # A loader begins with its first worker: that one takes the reader whose turn it is.
        reader = ((info.id if info else 0) + self._turn) % readers
        shard, shards = rank * readers + reader, world * readers
        found = self._rows.stream.batches(self._rows.epoch, shard, shards, self._ats[reader])
        for at, arrays in found:
            yield reader, at.chunk, at.row, self._rows.tensors(arrays)


def encoder_of(data: "Dataset", form: Form, dtype: str, nulls: Nulls, fits: Fits) -> Encoder:
    """The columns that `form` takes of a selection, and how."""
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

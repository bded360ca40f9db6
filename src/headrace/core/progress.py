"""Progress of long work, from wherever it happens to whoever shows it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Tick:
    """`done` of `total` steps of `stage`; `note` is the step just done, in a few words."""

    stage: str
    done: int
    total: int
    note: str = ""


_listeners: list[Callable[[Tick], None]] = []


def report(stage: str, done: int, total: int, note: str = "") -> None:
    for listener in _listeners:
        listener(Tick(stage, done, total, note))


@contextmanager
def listening(listener: Callable[[Tick], None]) -> Iterator[None]:
    """Within the block `listener` hears every report of this process."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)

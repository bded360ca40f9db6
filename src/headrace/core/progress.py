"""Progress reports: long-running code sends them to listeners that show them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Tick:
    """Progress report: `finished` of `total` steps of `stage`; `note` names the last step."""

    stage: str
    finished: int
    total: int
    note: str = ""


_listeners: list[Callable[[Tick], None]] = []


def report(stage: str, finished: int, total: int, note: str = "") -> None:
    for listener in _listeners:
        listener(Tick(stage, finished, total, note))


def forward(listener: Callable[[Tick], None]) -> None:
    """Call `listener` for every later progress report of this process, such as a worker."""
    _listeners.append(listener)


@contextmanager
def listening(listener: Callable[[Tick], None]) -> Iterator[None]:
    """Call `listener` for every progress report of this process within the block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)

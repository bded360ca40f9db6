"""Profile of the time by function; functions are wrapped from outside, without changing their code.

Each second of the main thread is counted once, under the innermost wrapped function. Other threads
work at the same time, so their seconds are counted separately and are not part of the sum.
"""

import threading
import time
from collections.abc import Callable, Iterator
from functools import wraps
from importlib import import_module
from typing import Any

REST = "the rest"


class Watch:
    """Seconds by name, in the main thread (`main`) and in all other threads (`beside`)."""

    def __init__(self) -> None:
        self.main: dict[str, float] = {}
        self.beside: dict[str, float] = {}
        self.unknown: list[str] = []
        self._stack: list[str] = [REST]
        self._since = time.perf_counter()
        self._lock = threading.Lock()

    def start(self) -> None:
        self.main.clear()
        self.beside.clear()
        self._since = time.perf_counter()

    def stop(self) -> dict[str, float]:
        """Return the main thread's seconds by name, the longest first."""
        self._turn()
        return dict(sorted(self.main.items(), key=lambda item: -item[1]))

    def wrap(self, place: str, name: str, label: str) -> None:
        """Count `name` of the module or class at `place` under `label`."""
        owner = _find(place)
        function = getattr(owner, name, None)
        if function is None:
            self.unknown.append(f"{place}.{name}")
            return

        @wraps(function)
        def timed(*args: Any, **named: Any) -> Any:
            return self._timed(label, lambda: function(*args, **named))

        setattr(owner, name, timed)

    def wrap_iterator(self, place: str, name: str, label: str) -> None:
        """Count the time of waiting for items of the iterator that `name` returns."""
        owner = _find(place)
        function = getattr(owner, name, None)
        if function is None:
            self.unknown.append(f"{place}.{name}")
            return

        @wraps(function)
        def items(*args: Any, **named: Any) -> Iterator[Any]:
            iterator, end = iter(function(*args, **named)), object()
            while (item := self._timed(label, lambda: next(iterator, end))) is not end:
                yield item

        setattr(owner, name, items)

    def _timed(self, label: str, call: Callable[[], Any]) -> Any:
        if threading.current_thread() is not threading.main_thread():
            start = time.perf_counter()
            try:
                return call()
            finally:
                with self._lock:
                    spent = time.perf_counter() - start
                    self.beside[label] = self.beside.get(label, 0.0) + spent
        self._turn()
        self._stack.append(label)
        try:
            return call()
        finally:
            self._turn()
            self._stack.pop()

    def _turn(self) -> None:
        now, label = time.perf_counter(), self._stack[-1]
        self.main[label] = self.main.get(label, 0.0) + now - self._since
        self._since = now


def _find(place: str) -> Any:
    """Return the module or class with this dotted name."""
    module, _, name = place.rpartition(".")
    if name[:1].isupper():
        return getattr(import_module(module), name)
    return import_module(place)

"""Whether an endpoint can answer: features are there, and answers can be logged."""

import asyncio
from collections.abc import Callable
from typing import Any

from headrace.core.errors import StateError
from headrace.serving.http.handlers import Service
from headrace.serving.http.log_writer import LogWriter


class Readiness:
    """Loads what the service needs when the process starts, and says when it is done."""

    def __init__(self, service: Service) -> None:
        # A service over tables reads them before its first answer; over a store it has no need to.
        self._load: Callable[[], Any] = getattr(service, "refresh", service.frontier)
        self._writer: LogWriter | None = None
        self._loading: asyncio.Task[Any] | None = None

    def start(self, writer: LogWriter | None) -> None:
        """Begin to load; call it on the event loop."""
        self._writer = writer
        self._begin()

    async def check(self) -> None:
        """Look whether it can answer now.

        Raises:
            StateError: it cannot; why not.
        """
        if self._loading is None or self._loading.done():
            self._begin()
        assert self._loading is not None
        done, _ = await asyncio.wait([self._loading], timeout=0.5)
        if not done:
            raise StateError("features are being loaded", where="serving", fix="wait")
        self._loading.result()
        if self._writer is not None and (self._writer.full or self._writer.failure):
            raise StateError(
                f"answers cannot be logged: {self._writer.failure or 'too many wait'}",
                where="the served log",
                fix="look at the disk",
            )

    def _begin(self) -> None:
        task = asyncio.create_task(asyncio.to_thread(self._load))
        # Looked at once, so that nobody is told of a failure that the next check meets again.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._loading = task

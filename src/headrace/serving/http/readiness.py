"""Readiness of an endpoint: features are loaded, and answers can be logged."""

import asyncio
from collections.abc import Callable
from typing import Any

from headrace.core.errors import StateError
from headrace.serving.http.handlers import Service
from headrace.serving.http.log_writer import LogWriter


class Readiness:
    """Loads the service's data when the process starts, and checks if the endpoint is ready."""

    def __init__(self, service: Service) -> None:
        # A service over tables must load the tables before its first answer. A service over an
        # online store loads nothing.
        self._load: Callable[[], Any] = getattr(service, "refresh", service.frontier)
        self._writer: LogWriter | None = None
        self._loading: asyncio.Task[Any] | None = None

    def start(self, writer: LogWriter | None) -> None:
        """Start loading; must be called on the event loop."""
        self._writer = writer
        self._begin()

    async def check(self) -> None:
        """Check that the endpoint can answer now.

        Raises:
            StateError: the endpoint cannot answer; the message gives the reason.
        """
        if self._loading is None or self._loading.done():
            self._begin()
        assert self._loading is not None
        finished, _ = await asyncio.wait([self._loading], timeout=0.5)
        if not finished:
            raise StateError("features are being loaded", where="serving", fix="try again later")
        self._loading.result()
        if self._writer is not None and (self._writer.full or self._writer.failure):
            raise StateError(
                f"answers cannot be logged: {self._writer.failure or 'the queue is full'}",
                where="the served log",
                fix="check the disk of the served log",
            )

    def _begin(self) -> None:
        task = asyncio.create_task(asyncio.to_thread(self._load))
        # Read the exception here, because asyncio warns of exceptions that nobody reads. The next
        # check raises it.
        task.add_done_callback(lambda finished: finished.cancelled() or finished.exception())
        self._loading = task

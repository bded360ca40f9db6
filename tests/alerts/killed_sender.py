"""Looks once, and is killed for good at a moment of the parent's choice."""

import os
import signal
import sys
from pathlib import Path

from headrace.alerts import look
from headrace.alerts.notifier import notify
from headrace.core.clock import now_us
from tests.lake.kit import Meter


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def main(root: str, when: str, later: int) -> None:
    def send(address, text):
        if when == "before":
            die()
        notify(address, text)
        if when == "after":
            die()

    meter = Meter(Path(root))
    look(meter.home, [meter.table], clock=lambda: now_us() + later, send=send)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))

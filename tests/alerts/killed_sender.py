"""Sends what there is to send once, in a process that dies at a moment of the parent's choice."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path

from headrace.alerts import update_alerts
from headrace.alerts.notifier import notify
from headrace.core.clock import now_us
from tests.lake.kit import Meter


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def main(root: Path, when: str, later: int, environment: Mapping[str, str]) -> None:
    # A process of the fork server has the environment of its start.
    os.environ.update(environment)

    def send(address, text):
        if when == "before":
            die()
        notify(address, text)
        if when == "after":
            die()

    meter = Meter(root)
    update_alerts(meter.home, [meter.table], clock=lambda: now_us() + later, send=send)

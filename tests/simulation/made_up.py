"""The small pipeline as a module, for processes that load it by name; a simulation feeds it."""

import atexit
import os
import shutil
from pathlib import Path
from tempfile import mkdtemp

from headrace.core.clock import CLOCK
from tests.simulation.small import declared

# A world of the tests has a home of its own, which is in no simulation.
_clock = os.environ.pop(CLOCK, None)
_root = Path(mkdtemp(prefix="headrace-made-up-"))
atexit.register(shutil.rmtree, _root, ignore_errors=True)
PIPELINE = declared(_root).pipeline
if _clock is not None:
    os.environ[CLOCK] = _clock

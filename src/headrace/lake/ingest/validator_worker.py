"""Worker process (`python -m headrace.lake.ingest.validator_worker`) that validates deliveries.

The process reads requests from a pipe until the pipe closes, and answers each request before it
reads the next. Only `validator_pool.Helper` starts it.
"""

import os
import pickle
import select
import sys
from typing import BinaryIO

from headrace.lake.ingest.validator import BatchValidator
from headrace.sources.base import Delivery

IDLE = 5.0  # seconds without a request after which the process exits


def main() -> None:
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # keep printed text out of the answers
    _answer(answers, "ready")
    validators: dict[str, BatchValidator] = {}
    while select.select([requests], [], [], IDLE)[0]:
        try:
            request: tuple[BatchValidator, Delivery] = pickle.load(requests)  # noqa: S301 - from our parent
        except EOFError:
            return
        validator, delivery = request
        # Reuse the first validator of each table and rule: its checks are compiled already.
        validator = validators.setdefault(
            f"{validator.home.root} {validator.name} {validator.rule}", validator
        )
        _answer(answers, validator.judge(delivery))


def _answer(answers: BinaryIO, what: object) -> None:
    pickle.dump(what, answers, pickle.HIGHEST_PROTOCOL)
    answers.flush()


if __name__ == "__main__":
    main()

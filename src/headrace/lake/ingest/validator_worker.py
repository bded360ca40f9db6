"""`python -m headrace.lake.ingest.validator_worker`: judges what comes in by a pipe, until the
pipe ends.

Started by `judges.Helper` and of no use without it. One request is answered before the next comes.
"""

import os
import pickle
import select
import sys
from typing import BinaryIO

from headrace.lake.ingest.validator import Desk
from headrace.sources.base import Delivery

IDLE = 5.0  # seconds after which nothing more is expected


def main() -> None:
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever prints must not answer
    _answer(answers, "ready")
    known: dict[str, Desk] = {}
    while select.select([requests], [], [], IDLE)[0]:
        try:
            request: tuple[Desk, Delivery] = pickle.load(requests)  # noqa: S301 - from our parent
        except EOFError:
            return
        desk, delivery = request
        # The same objects each time, as what is compiled for them is found by them.
        desk = known.setdefault(f"{desk.home.root} {desk.name} {desk.rule}", desk)
        _answer(answers, desk.judge(delivery))


def _answer(answers: BinaryIO, what: object) -> None:
    pickle.dump(what, answers, pickle.HIGHEST_PROTOCOL)
    answers.flush()


if __name__ == "__main__":
    main()

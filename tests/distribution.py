"""Which tests share a worker, and in what order they start, when several workers share them out.

A file goes to one worker, so that what its tests share is made once; so does a folder whose files
share servers or states. What takes longest starts first, so that the workers end together.
"""

import pytest

TOGETHER = (
    *("tests/cluster", "tests/reports", "tests/scaffold", "tests/serving_http"),
    *("tests/dagster", "tests/recall", "tests/gates/test_gx", "tests/flights"),
)
# By what they took when last measured; others follow in the order of their names. The first makes
# the deliveries and builds the weeks of flights, for which another worker would wait.
FIRST = (
    "tests/flights/test_accounting.py",
    *("tests/dagster", "tests/scaffold", "tests/cluster", "tests/gates/test_gx"),
    *("tests/flights/test_kill.py", "tests/recall", "tests/flights/test_deliveries.py"),
    *("tests/serving_http", "tests/reports", "tests/flights", "tests/gates", "tests/lake"),
    *("tests/streams", "tests/serving", "tests/features", "tests/proofs"),
)


def scope(nodeid: str) -> str:
    """What a test shares a worker with: all of equal scope."""
    for folder in TOGETHER:
        if nodeid.startswith(folder):
            return folder
    return nodeid.split("::", 1)[0]


def turn(nodeid: str) -> int:
    return next((n for n, start in enumerate(FIRST) if nodeid.startswith(start)), len(FIRST))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: turn(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """For `-n` by itself; what `--dist` asks for is done as asked."""
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByScope(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope(nodeid)

    config.option.loadscopereorder = False
    return ByScope(config, log)

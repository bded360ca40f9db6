import pytest

from tests.serving.world import World


@pytest.fixture
def world(tmp_path, monkeypatch) -> World:
    monkeypatch.delenv("HEADRACE_STORE", raising=False)
    return World(tmp_path)


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> World:
    """All days delivered and published, with the commit times of a live pipeline; do not change."""
    world = World(tmp_path_factory.mktemp("lines"))
    world.deliver_days()
    world.publish()
    world.commit_on_time()
    return world

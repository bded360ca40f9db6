import pytest

from headrace.models import champion
from headrace.pipeline import build_release, train_model
from headrace.pipeline.serving.endpoint import endpoint
from headrace.serving.http import ApiKeys, create_app
from tests.serving.world import World
from tests.serving_http.server import serving

PROJECT = """
from pathlib import Path
from tests.serving.world import World

PIPELINE = World(Path({root!r})).pipeline
"""


@pytest.fixture(scope="package")
def lines(tmp_path_factory) -> World:
    """All days published, and a model in charge; do not change."""
    world = World(tmp_path_factory.mktemp("lines"))
    world.deliver_days()
    world.publish()
    world.commit_on_time()
    build_release(world.pipeline, world.home)
    train_model(world.pipeline, world.home)
    assert champion(world.home, "line_late") is not None
    return world


@pytest.fixture(scope="package")
def client(lines):
    """Of an open endpoint over the tables, without a log."""
    made = endpoint(lines.pipeline, lines.home, keys=ApiKeys(), log_share=0, source="tables")
    with serving(create_app(made)) as client:
        yield client


@pytest.fixture(scope="package")
def project(lines, tmp_path_factory):
    """A folder in which `headrace serve` finds the pipeline."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "pyproject.toml").write_text('[tool.headrace]\npipelines = ["bus_lines"]\n')
    (folder / "bus_lines.py").write_text(PROJECT.format(root=str(lines.root)))
    return folder


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)

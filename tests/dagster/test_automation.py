"""One switch for schedules and sensors, on the real instance."""

import pytest
from shop_pipeline import HERE

from headrace.core.errors import DeclarationError
from headrace.dagster.automation import USUAL, list_automation, switch

DEFS = """\
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from shop_pipeline import shop_pipeline
from headrace.dagster import definitions
from headrace.core.home import Home
defs = definitions(shop_pipeline(Path({folder!r})), home=lambda: Home(Path({home!r})))
"""
WORKSPACE = """\
load_from:
  - python_file: {relative_path: defs.py, location_name: shop}
"""


@pytest.fixture
def project(tmp_path, home, folder):
    given = {"tests": str(HERE.parent), "folder": str(folder), "home": str(home.root)}
    (tmp_path / "defs.py").write_text(DEFS.format(**given))
    (tmp_path / "workspace.yaml").write_text(WORKSPACE)
    return tmp_path


def running(found):
    return {one.name for one in found if one.running}


def test_on_off_and_by_name(project, home, instance):
    assert running(switch(home, project, on=True)) == set(USUAL)
    assert running(switch(home, project, on=True, only=["retraining"])) == {
        *USUAL, "retraining",
    }  # fmt: skip
    assert running(switch(home, project, on=False)) == set()
    with pytest.raises(DeclarationError, match="no schedule or sensor nothing"):
        switch(home, project, on=True, only=["nothing"])
    found = list_automation(home, project)
    assert running(found) == set()
    assert [one.name for one in found[: len(USUAL)]] == sorted(USUAL)
    assert all(one.usual or one.when for one in found)
    assert {one.kind for one in found} == {"schedule", "sensor"}

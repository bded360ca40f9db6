"""The pages a person opens, in a real browser."""

import shutil

import pytest
from playwright.sync_api import sync_playwright

from headrace.core.home import Home
from headrace.dagster.instance import prepare
from tools.pictures import screenshots
from tools.pictures.walk import walk

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
        reason="no Chromium on this machine",
    ),
]


@pytest.mark.slow
def test_on_call_comes_from_the_page_to_the_release_by_browser_alone(tmp_path):
    """A real fault, a real daemon, and at every step only what the page before offers."""
    done = walk(tmp_path / "home", tmp_path / "shots")
    assert done["opened"]["title"] == "BLOCK schedule 2013-02-12: unit change in distance"
    assert done["closed"]["message"].startswith("Over: released by ")
    assert len(list((tmp_path / "shots").glob("*.png"))) == 7


def test_the_graph_reads_like_the_chain(tmp_path):
    home = Home(tmp_path / "home")
    prepare(home, home.root)
    workspace = screenshots.ROOT / "workspace.yaml"
    with screenshots.served(home.root, workspace) as address, sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=screenshots.chromium(), args=screenshots.FLAGS
        )
        page = browser.new_page()
        page.goto(f"{address}/locations/flights/assets")
        for stage in ("ingestion", "features", "datasets", "models", "monitoring"):
            page.get_by_text(stage).first.wait_for(timeout=screenshots.PATIENCE * 1000)
        page.goto(f"{address}/assets/tables/schedule?view=checks&checkDetail=gate_block")
        page.get_by_text("This is a blocking asset check").first.wait_for(
            timeout=screenshots.PATIENCE * 1000
        )
        browser.close()

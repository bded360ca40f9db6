"""The pages a person opens, in a real browser."""

import shutil

import pytest
from playwright.sync_api import sync_playwright

from docs import screenshots
from headrace.dagster.instance import prepare
from headrace.home import Home

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
        reason="no Chromium on this machine",
    ),
]


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
        page.goto(f"{address}/assets/tables/schedule?view=checks&checkDetail=gate")
        page.get_by_text("Contract 1.0.0 and the suite flights.schedule").first.wait_for(
            timeout=screenshots.PATIENCE * 1000
        )
        browser.close()

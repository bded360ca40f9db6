"""The pages in a real browser: they fit a phone, ask for nothing else, and can be read."""

import shutil
import threading

import pytest
from playwright.sync_api import sync_playwright

from headrace.core.permissions import local_user
from headrace.report_server.actions import Acting
from headrace.report_server.server import ReportServer
from headrace.report_server.site import Site
from headrace.reports.batch import render
from tests.reports import world
from tests.reports.acting import pages
from tests.reports.given import a_report
from tools.pictures import screenshots

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
        reason="no Chromium on this machine",
    ),
]
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1400, "height": 1000}
LONG = "a_name_without_any_place_to_break_" * 6
# Of each text the contrast with what is behind it, where that is less than it should be.
FAINT = """() => {
  const seen = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = colour => { seen.clearRect(0, 0, 1, 1); seen.fillStyle = colour;
    seen.fillRect(0, 0, 1, 1); return [...seen.getImageData(0, 0, 1, 1).data]; };
  const light = c => { const [r, g, b] = c.slice(0, 3).map(v => { v /= 255;
    return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = node => { for (; node; node = node.parentElement) {
    const c = rgb(getComputedStyle(node).backgroundColor); if (c[3] === 255) return c; }
    return [255, 255, 255]; };
  const faint = [];
  for (const node of document.querySelectorAll('body *')) {
    if (![...node.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const [a, b] = [light(rgb(getComputedStyle(node).color)), light(behind(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.push(`${node.tagName}.${node.className} ${ratio.toFixed(2)}`);
  }
  return faint; }"""


# What a finger has to hit and is lower than 44 pixels; a link inside a sentence may be.
SMALL = """() => [...document.querySelectorAll('button,select,textarea,summary,nav a,h3 a,.button,'
    + '.monitors a,footer a,a.tag')].filter(n => n.getBoundingClientRect().height < 44)
    .map(n => n.tagName + ' ' + n.textContent)"""


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=screenshots.chromium(), args=screenshots.FLAGS
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(flights):
    pipeline, home = flights
    with ReportServer(Site([pipeline], home, Acting()), "127.0.0.1", 0) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


PAGES = ["/", *(f"/table/{table}/{day}" for table, day in (
    ("schedule", world.KILOMETRES), ("schedule", world.TORN), ("schedule", world.RENAMED),
    ("weather", world.WIND), ("weather", "2013-02-10")))]  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_pages_fit_and_can_be_read(browser, address, path, scheme):
    context = browser.new_context(viewport=PHONE, color_scheme=scheme)
    page = context.new_page()
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(address + path)
    for size in (PHONE, DESK):
        page.set_viewport_size(size)
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") == size["width"]
        assert page.evaluate(SMALL) == []
    assert page.evaluate(FAINT) == []
    assert page.evaluate("getComputedStyle(document.body).fontFamily").startswith("system-ui")
    others = [url for url in asked if not url.startswith(address)]
    pages = {page.url, address + path}
    assert (others, set(asked) - pages, said) == ([], set(), [])
    context.close()


def test_long_names_do_not_push_the_page_wide(browser, tmp_path):
    numbers = iter(range(10_000))
    file = tmp_path / "report.html"
    file.write_text(render(a_report(lambda: f"{LONG}{next(numbers)}")))
    page = browser.new_page(viewport=PHONE)
    page.goto(file.as_uri())
    for size in (PHONE, DESK):
        page.set_viewport_size(size)
        assert page.evaluate("document.documentElement.scrollWidth") == size["width"]
    page.close()


def test_a_file_alone_runs_nothing(browser, tmp_path):
    """Even if a text could become markup, the page's own policy would not run it."""
    file = tmp_path / "report.html"
    whole = render(a_report(lambda: "x"))
    file.write_text(whole.replace("</body>", "<script>document.title = 'ran'</script></body>"))
    page = browser.new_page()
    page.goto(file.as_uri())
    assert page.title() != "ran"
    page.close()


def test_the_way_to_the_actions_is_one_tap(browser, address):
    page = browser.new_page(viewport=PHONE)
    page.goto(f"{address}/table/schedule/{world.KILOMETRES}")
    page.get_by_role("link", name="Act", exact=True).click()
    heading = page.get_by_role("heading", name="What you can do")
    heading.wait_for()
    top = heading.bounding_box()["y"]
    assert 0 < top < PHONE["height"] / 2
    for name in ("Acknowledge", "Approve", "Reject"):
        assert page.get_by_role("button", name=name).is_enabled()
    page.close()


def test_a_batch_is_approved_on_a_phone_without_scripts(browser, flights, tmp_path):
    """From the address in an alert to the published day: one page, one reason, one button."""
    with pages(flights, tmp_path) as site:
        context = browser.new_context(viewport=PHONE, java_script_enabled=False)
        page = context.new_page()
        page.goto(f"http://{site.host}{site.path(world.KILOMETRES)}#act")
        page.get_by_role("button", name="Approve").click()
        assert site.recorded() == []  # without a reason the browser sends nothing
        page.get_by_label("Reason").fill("planning needs the day")
        page.get_by_label("An approval ends").select_option("1d")
        page.get_by_role("button", name="Approve").click()
        page.get_by_text(f"release by {local_user()}").first.wait_for()
        assert page.url.endswith(f"{site.path(world.KILOMETRES)}#top")
        assert site.batch(world.KILOMETRES)["state"] == "published"
        context.close()

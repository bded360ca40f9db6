"""The documentation site builds strictly, and the build fails on every kind of dead reference."""

from pathlib import Path

import pytest

from tools import site

CONFIG = """
[project]
site_name = "a site"
nav = [{ "Home" = "index.md" }, { "Guides" = ["guides/first.md"] }]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "zensical.toml").write_text(CONFIG)
    guides = tmp_path / "docs" / "guides"
    guides.mkdir(parents=True)
    (guides / "first.md").write_text("# First\n\n## Steps\n")
    (tmp_path / "docs" / "index.md").write_text("# Home\n\n[steps](guides/first.md#steps)\n")
    (tmp_path / "README.md").write_text("[steps](docs/guides/first.md#steps) `[no](link.md)`\n")
    return tmp_path


def test_documentation_site_has_no_problems():
    assert site.build() == []


def test_sound_site_has_no_problems(project):
    assert site.build(project) == []
    assert (project / "site" / "guides" / "first" / "index.html").exists()


def test_dead_links_between_pages_are_reported(project):
    page = "[page](guides/second.md) [anchor](guides/first.md#end)\n"
    (project / "docs" / "index.md").write_text(page)
    (problem,) = site.build(project)
    assert "page does not exist" in problem
    assert "anchor does not exist" in problem


def test_what_else_is_dead_is_reported(project):
    entries = '"guides/first.md", "guides/none.md"'
    (project / "zensical.toml").write_text(CONFIG.replace('"guides/first.md"', entries))
    page = '![one](images/none.png) <img src="none.png"> [config](../zensical.toml)\n'
    (project / "docs" / "index.md").write_text(page)
    (project / "docs" / "guides" / "second.md").write_text("# Second\n")
    (project / "README.md").write_text("[page](docs/none.md) [anchor](docs/guides/first.md#end)\n")
    problems = "\n".join(site.build(project))
    for problem in (
        "docs/guides/second.md is not in the navigation",
        "the navigation names docs/guides/none.md: no such page",
        "index.html: images/none.png does not exist",
        "index.html: none.png does not exist",
        "zensical.toml does not exist",
        "README.md: docs/none.md does not exist",
        "README.md: docs/guides/first.md#end does not exist",
    ):
        assert problem in problems

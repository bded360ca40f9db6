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


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("docs/index.md", "[page](guides/second.md)", "page does not exist"),
        ("docs/index.md", "[anchor](guides/first.md#end)", "anchor does not exist"),
        ("docs/index.md", "![picture](images/none.png)", "index.html: images/none.png does not"),
        ("docs/index.md", '<img src="none.png">', "index.html: none.png does not exist"),
        ("docs/guides/second.md", "# Second", "docs/guides/second.md is not in the navigation"),
        ("README.md", "[page](docs/guides/second.md)", "README.md: docs/guides/second.md does not"),
        (
            "README.md",
            "[page](docs/guides/first.md#end)",
            "README.md: docs/guides/first.md#end",
        ),
    ],
)
def test_build_reports_what_is_dead(project, file, text, problem):
    (project / file).write_text(f"{text}\n")
    assert problem in "\n".join(site.build(project))


def test_build_reports_an_entry_without_a_page(project):
    entries = '"guides/first.md", "guides/second.md"'
    (project / "zensical.toml").write_text(CONFIG.replace('"guides/first.md"', entries))
    assert "the navigation names docs/guides/second.md: no such page" in site.build(project)

"""Build the documentation site strictly: `python -m tools.site` writes it to `site/`.

Zensical reports dead links and anchors between pages. It does not report pages missing from the
navigation, entries of the navigation without a page, or links to images and other files, so this
module does. It also checks the links of the Markdown files beside `docs/`.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parents[1]
# Inline links and images of Markdown; code spans are removed first.
LINK = re.compile(r"\]\(([^)\s]+)\)")
COLOR = re.compile(r"\x1b\[[0-9;]*m")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)


class _Page(HTMLParser):
    """Anchors and link targets of a built page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.targets: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect `id`, `href` and `src`; a canonical address is that of a server."""
        attributes = {name: text for name, text in attrs if text is not None}
        if "id" in attributes:
            self.anchors.add(attributes["id"])
        if tag != "link" or attributes.get("rel") == "stylesheet":
            self.targets += [attributes[name] for name in ("href", "src") if name in attributes]


def build(root: Path = ROOT) -> list[str]:
    """Build the site of the project at `root` and return what is wrong with it."""
    project = tomllib.loads((root / "zensical.toml").read_text(encoding="utf-8"))["project"]
    site = root.resolve() / project.get("site_dir", "site")
    shutil.rmtree(site, ignore_errors=True)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if run.returncode:
        return [COLOR.sub("", run.stderr).partition("Traceback")[0].strip() or run.stderr]
    return [*_navigation(root / "docs", project["nav"]), *_dead(site), *_dead_beside(root, site)]


def _navigation(docs: Path, nav: object) -> Iterator[str]:
    entries = set(_entries(nav))
    pages = {page.relative_to(docs).as_posix() for page in docs.rglob("*.md")}
    yield from (f"docs/{page} is not in the navigation" for page in sorted(pages - entries))
    yield from (f"the navigation names docs/{page}: no such page" for page in entries - pages)


def _entries(nav: object) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict | list):
        for part in nav.values() if isinstance(nav, dict) else nav:
            yield from _entries(part)


def _dead(site: Path) -> Iterator[str]:
    """Report links of built pages to files or anchors that do not exist."""
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    anchors = {path: page.anchors for path, page in pages.items()}
    for path, page in pages.items():
        if path.name == "404.html":  # links of the 404 page are relative to the missing address
            continue
        for target in page.targets:
            if _is_dead(site, path, target, anchors):
                yield f"{path.relative_to(site)}: {target} does not exist"


def _is_dead(site: Path, path: Path, target: str, anchors: dict[Path, set[str]]) -> bool:
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return False
    file = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
    file = file / "index.html" if file.is_dir() else file
    if not file.is_file() or not file.is_relative_to(site):
        return True  # a link out of the site works only in a checkout
    anchor = unquote(parts.fragment)
    # The theme's own scripts make the anchors that begin with two underscores.
    return bool(anchor) and not anchor.startswith("__") and anchor not in anchors.get(file, set())


def _dead_beside(root: Path, site: Path) -> Iterator[str]:
    """Report links of Markdown files at `root` to files or headings that do not exist."""
    for path in sorted(root.glob("*.md")):
        for target in LINK.findall(CODE.sub("", path.read_text(encoding="utf-8"))):
            parts = urlsplit(target)
            if parts.scheme or not parts.path:
                continue
            file = root / unquote(parts.path)
            if not file.exists():
                yield f"{path.name}: {target} does not exist"
            elif parts.fragment and file.suffix == ".md" and file.is_relative_to(root / "docs"):
                page = site / file.relative_to(root / "docs").with_suffix("") / "index.html"
                if parts.fragment not in _Page(page.read_text(encoding="utf-8")).anchors:
                    yield f"{path.name}: {target} does not exist"


if __name__ == "__main__":
    problems = build()
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    sys.exit(f"{len(problems)} problems in the documentation" if problems else 0)

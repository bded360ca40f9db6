"""Commands on the pages exist, with the options that they are shown with."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from headrace.cli.app import app

ROOT = Path(__file__).parents[2]
# Decision records say what was decided then, also of commands that have other names now.
PAGES = [
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "decisions"),
    ROOT / "README.md",
]
FENCED = re.compile(r"^ *```(?:sh|console|)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
INLINE = re.compile(r"`(headrace [^`]+)`")
PROGRAM = typer.main.get_command(app)
COMMAND = re.compile(r"(?:^|[;&|]) *(?:\$ )?(?:\S+/)?headrace (?=[a-z-])([^#|&;]*)")


def commands(text: str) -> Iterator[str]:
    """Yield the `headrace` commands of a page, without comments and the program's name."""
    blocks = [*FENCED.findall(text), *INDENTED.findall(text)]
    joined = "\n".join(blocks).replace("\\\n", " ")
    for line in [*joined.splitlines(), *(" ".join(span.split()) for span in INLINE.findall(text))]:
        for command in COMMAND.findall(line):
            yield re.sub(r"[\[\]]|\.\.\.", " ", command).strip()


def mistake(command: str) -> str:
    """Return the word that is no command, a deprecated one, or no option of it; or ""."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    node = PROGRAM
    while words and words[0] in getattr(node, "commands", {}):
        node = node.commands[words[0]]
        if node.hidden:  # the name of an earlier version
            return words[0]
        words.pop(0)
    if getattr(node, "commands", {}) and words and words[0].isalpha():
        return words[0]
    options = {name for option in node.params for name in [*option.opts, *option.secondary_opts]}
    options |= {"--help", "-h"}
    shown = {word.partition("=")[0] for word in words if word.startswith("--")}
    return " ".join(sorted(shown - options))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_commands_of_the_page_exist(page):
    mistakes = {line: wrong for line in commands(page.read_text()) if (wrong := mistake(line))}
    assert mistakes == {}


def test_commands_are_read_from_blocks_and_sentences():
    shell = "```sh\nheadrace run && headrace status  # all\n```"
    page = f"Run `headrace gate\nls`:\n\n{shell}\n\n    headrace serve\n"
    assert list(commands(page)) == ["run", "status", "serve", "gate ls"]


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("gate ls --all", ""),
        ("gate lss", "lss"),
        ("gate release", "release"),
        ("run --fron 2026-01-01", "--fron"),
    ],
)
def test_a_wrong_command_is_reported(command, wrong):
    assert mistake(command) == wrong

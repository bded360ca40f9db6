"""Names and texts only get better: no figure of the source rises above its limit."""

import ast

import pytest

from tests.house import limits, words
from tests.house.figures import Module, Survey, is_vague, survey, survey_module


@pytest.mark.parametrize("name", limits.read())
def test_a_figure_keeps_its_limit(name: str) -> None:
    count, limit = survey().counts()[name], limits.read()[name]
    if count <= limit:
        return
    new = limits.added(survey().places(name))
    pytest.fail(
        f"{name}: {count}, limit {limit}; see CONTRIBUTING.md. Added since the limit was set:\n"
        + "\n".join(map(str, new[:60])),
        pytrace=False,
    )


@pytest.mark.parametrize(
    ("name", "vague"),
    [
        ("one", True),
        ("_SHOWN", True),
        ("other_one", True),
        ("left_out", True),
        ("Told", True),
        ("known_at", False),
        ("rows_kept", False),
        ("first_seen", False),
        ("other", False),
        ("TableHTML", False),
    ],
)
def test_vague_names(name: str, vague: bool) -> None:
    assert is_vague(name) is vague


def surveyed(source: str) -> Survey:
    module_survey = Survey(phrases={"docstrings": [], "messages": []})
    survey_module(module_survey, "module.py", Module(ast.parse(source)))
    return module_survey


def test_every_binding_counts_once_in_its_scope() -> None:
    source = """
import json as told
def given(seen, *, kept=1):
    done = done = [one for one in seen]
    with open(seen) as shown:
        done.found = 1
    try:
        self.named = lambda known: known
    except Exception as asked:
        pass
class Meant:
    held: int
    def __init__(self): self.held = 1
"""
    places = surveyed(source).vague
    names = " ".join(sorted(place.name for place in places))
    assert names == "Meant asked done given held held kept known named one seen shown told"
    assert {place.line for place in places if place.name == "one"} == {4}


def test_the_left_side_of_a_pair_is_a_name() -> None:
    assert not surveyed("def join(left, right): ...").vague
    assert surveyed("def rows(left): ...").vague


SOURCE = '''
"""Which rows

are computed anew."""
class A:
    """Rows of which."""
f"{x} is no day"
'''


def test_openings_and_texts() -> None:
    counted = surveyed(SOURCE)
    assert [str(place) for place in counted.openings] == ["module.py:2: Which rows"]
    assert sorted(map(str, counted.phrases["docstrings"])) == [
        "module.py:4: anew",
        "module.py:6: of which",
    ]
    assert [str(place) for place in counted.phrases["messages"]] == ["module.py:7: is no day"]


@pytest.mark.parametrize(
    "text",
    [
        "there is no\nrow",
        "it is no longer there",
        "Run the job again.",
        "recommend it",
        "it stands for a key",
    ],
)
def test_plain_phrases(text: str) -> None:
    assert not list(words.find(text, 1))

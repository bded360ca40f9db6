"""Each wrong rule that is planted in the engine shows in some world."""

import pytest

from tests.worlds.paths import WAYS
from tests.worlds.test_worlds import world_of
from tests.worlds.wrong_rules import RULES, SEEDS, planted

MOST = 400


def shows(name: str) -> int | None:
    """A seed whose world shows the rule: the one that is noted, or the first."""
    rule = RULES[name]
    with planted(rule):
        for seed in (SEEDS.get(name, 0), *range(MOST)):
            if WAYS[rule.path](world_of(seed, rule.path)):
                return seed
    return None


@pytest.mark.parametrize("name", RULES)
def test_a_wrong_rule_shows(name):
    assert shows(name) is not None

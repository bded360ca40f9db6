"""The online store follows what people take out and release: it holds what a new store would."""

import pytest

from headrace.core.permissions import ACTIONS, Grant, PermissionPolicy
from headrace.operations import batch_actions
from tests.online.test_commits import TABLE, Followed, held
from tests.serving.world import DAYS, World

GIVEN = {
    "principal": "ana",
    "reason": "the depot burned",
    "policy": PermissionPolicy({"ana": Grant(frozenset(ACTIONS))}),
}


@pytest.mark.parametrize("mode", ["declared", "recorded"])
def test_a_store_follows_rows_that_go_and_come_back(tmp_path, mode):
    one = Followed(World(tmp_path, mode))
    one.publish(*DAYS[:2])
    one.follow()
    before = held(one.store)
    table, home = one.world.pipeline.table(TABLE), one.world.home
    batch_actions.quarantine(home, table, DAYS[0], scope={"lines": [3, 4]}, **GIVEN)
    assert one.follow().renewed[TABLE] == 2
    without = held(one.store)
    assert without == one.afresh() != before
    batch_actions.release(home, table, DAYS[0], **GIVEN)
    assert one.follow().rows[TABLE] >= 2
    assert held(one.store) == one.afresh()
    assert (held(one.store) == before) == (mode == "declared")

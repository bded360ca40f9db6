"""A firm whose readings are unusual on some days, and people who decide about it."""

import json

import pyarrow as pa

from headrace.core.clock import DAY, now_us
from headrace.core.home import Home
from headrace.core.permissions import ACTIONS, Grant, PermissionPolicy
from headrace.gates.verdict import Judgement
from headrace.lake.ingest.protocol import ingest
from headrace.lake.ledger.batch_listing import find_batches
from headrace.lake.table import Table
from headrace.operations import batch_actions
from headrace.operations.exemptions import mute_findings
from headrace.sources.files import DropFolder
from tests.semantic import rides
from tests.semantic.test_semantic_in_runs import as_csv, suite

DAYS = 20  # clean days; the batches on which people decide come late, on days 16 to 19, or after
SLOTS = [rides.slot(day) for day in range(DAYS + 6)]
ALL = PermissionPolicy({"ann": Grant(frozenset(ACTIONS)), "bob": Grant(frozenset({"release"}))})
WHO = {"principal": "ann", "reason": "heat wave", "policy": ALL}
LATE = (16, 17, 18)  # not delivered with the others


class Firm:
    def __init__(self, root):
        self.drop = root / "drop"
        self.drop.mkdir()
        self.home = Home(root / "home")
        source = DropFolder("rides", self.drop, "rides_{slot}*.csv", "dispatch")
        self.table = Table("rides", source, rides.contract(), suite())

    def deliver(self, day, warmer=0.0, rows=rides.ROWS, **more):
        """Deliver a day, all readings of which are warmer by this many degrees."""
        table = rides.rides(day, rows).table
        altered = {"degrees": [f"{float(x) + warmer:.1f}" for x in table["degrees"].to_pylist()]}
        for name, values in {**altered, **more}.items():
            at = table.schema.get_field_index(name)
            table = table.set_column(at, name, pa.array(values, pa.string()))
        (self.drop / f"rides_{SLOTS[day]}.csv").write_text(as_csv(table))

    def run(self, *days, table=None):
        return [r.verdict for r in ingest(table or self.table, [SLOTS[d] for d in days], self.home)]

    def judgement(self, day):
        (row,) = find_batches(self.home, self.table, SLOTS[day])
        return Judgement.from_json(json.dumps(row["judgement"]))

    def approve(self, day, days=90, **more):
        until = now_us() + days * DAY
        return batch_actions.release(
            self.home, self.table, SLOTS[day], right_until=until, **{**WHO, **more}
        )

    def rerun(self, day):
        return batch_actions.rerun(self.home, self.table, SLOTS[day], **WHO)

    def mute(self, kinds, **more):
        return mute_findings(self.home, self.table, kinds, **{**WHO, **more})


def warm_firm(root):
    """Return a firm with clean days, and one unusual day that the gate has blocked."""
    firm = Firm(root)
    clean = [day for day in range(DAYS) if day not in LATE]
    for day in clean:
        firm.deliver(day)
    assert set(firm.run(*clean)) == {"PASS"}
    firm.deliver(DAYS, warmer=30)
    assert firm.run(DAYS) == ["BLOCK"]
    return firm

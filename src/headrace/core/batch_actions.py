"""Manual actions: one declaration per action, used by its policy, command, job and page.

`headrace.operations.batch_actions.perform` runs an action on a batch by its name and parameters.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class BatchAction:
    """Manual action on a batch, or on the checks of a table.

    Attributes:
        name: name in the audit trail, in `policy.yaml`, and in the job `gate_<name>`.
        does: description for the policy, in one sentence.
        summary: description of the job for on-call, in one sentence; "" if there is no job.
        command: `headrace gate <command>`; "" if the command has the action's name.
        rows: parameters that select rows: `checks`, `lines`, `where`.
        expires: the action has no end ("never"), may have one, or must have one ("required").
        form: fields of the job's launchpad besides principal and reason, with their defaults.
        of_table: True if it acts on checks of a table, not on a batch.
        accepts: True if it can also accept the findings of the batch for later batches.
        button: True if it needs only a reason, so that pages offer it as a button.
        help: help text of its command.
    """

    name: str
    does: str
    summary: str = ""
    command: str = ""
    rows: tuple[str, ...] = ()
    expires: Literal["never", "optional", "required"] = "never"
    form: Mapping[str, object] = field(default_factory=dict)
    of_table: bool = False
    accepts: bool = False
    button: bool = False
    help: str = ""

    @property
    def command_name(self) -> str:
        return self.command or self.name


_DECLARED = (
    BatchAction(
        "release",
        does="Publish a blocked batch, or rows that are in quarantine.",
        summary="Publish a blocked batch, except for its failing rows.",
        command="approve",
        rows=("checks", "lines"),
        expires="optional",
        form={"expires": "", "right_until": ""},
        accepts=True,
        button=True,
        help="""\
Approve a blocked batch, or quarantined rows, and publish them despite the verdict.

Of a blocked batch, the rows that fail no row check are published; the others go to quarantine.
With --check, rows that fail only these checks are published too; every check that blocks must
be listed. Of a published batch, quarantined rows are published: all of them, or those selected
by --check or --line. Rows that break the contract stay in quarantine. Published rows are
available from now on, not retroactively. An approval is valid for this batch under the current
rules.

With --data-right, later batches are accepted, too, if what drift detection finds in them lies
within what it found in this batch: the same kind and columns, the same factor or category, and
hardly more of it. They are published with a note that has your name and reason. Other findings
block as before. List and end acceptances with `headrace gate mutes` and `headrace gate unmute`.

For example:

  headrace gate approve schedule 2013-02-12 --reason "storm, counts are right"
  headrace gate approve weather 2013-07-22 --line 14 --reason "checked with the station"
  headrace gate approve schedule 2013-12-24 --data-right --reason "few flights at Christmas"
""",
    ),
    BatchAction(
        "quarantine",
        does="Take published rows out of a table.",
        summary="Move published rows of a batch to quarantine.",
        rows=("checks", "lines", "where"),
        form={"checks": [], "lines": []},
        help="""\
Move published rows to quarantine, where they stay even if rules change later.

Select rows by --line, by a --check that they fail (also one that only warns), or by --where
their columns have given values. For a whole batch use `headrace gate recall`.

For example:

  headrace gate quarantine weather 2013-07-22 --where station=JFK --reason "sensor broken"
""",
    ),
    BatchAction(
        "reject",
        does="Refuse a pending batch, or rows in quarantine, for good.",
        summary="Reject a blocked batch permanently.",
        rows=("checks", "lines"),
        button=True,
        help="""\
Reject a pending batch permanently, or quarantined rows: all of them, or those selected.

For example:

  headrace gate reject schedule 2013-02-12 --reason "test file"
""",
    ),
    BatchAction(
        "rerun",
        does="Validate a batch again under the present rules.",
        summary="Validate a batch again from its raw file.",
        button=True,
        help="""\
Validate a batch again from its raw file, with the current checks and mutes.

For example:

  headrace gate rerun weather 2013-07-22 --reason "limit corrected"
""",
    ),
    BatchAction(
        "mute",
        does="Keep checks of a table from blocking, until a date.",
        summary="Keep checks of a table from blocking, until a date.",
        rows=("checks",),
        of_table=True,
        expires="required",
        form={"checks": [], "expires": "1d"},
    ),
    BatchAction(
        "unmute",
        does="End a mute.",
        rows=("checks",),
        of_table=True,
    ),
    BatchAction(
        "recall",
        does="Withdraw a published batch, and taint the releases and models made from it.",
        summary="Withdraw a published batch, and mark its releases and models as tainted.",
        button=True,
    ),
    BatchAction(
        "restore",
        does="Undo a recall.",
        summary="Undo a recall: the batch is published again, from now on.",
        button=True,
    ),
    BatchAction(
        "ack",
        does="Acknowledge an alert or a window of a monitor.",
        summary="Acknowledge a batch: its alerts send no more messages.",
        button=True,
        help="""\
Acknowledge a batch: its alerts send no more messages.

For example:

  headrace gate ack weather 2013-07-22 --reason "asking the station"
""",
    ),
)
BATCH_ACTIONS = {action.name: action for action in _DECLARED}
# Actions on monitor windows and on releases; they have no job, and no button on batch pages.
OTHER_ACTIONS = {
    "accept": "Accept unusual data as normal: of a batch, for later batches; of a window, for its "
    "monitor.",
    "erase": "Erase rows of a dataset from its releases.",
    "retire": "Delete releases of a dataset that are past their retention.",
}

"""Rehearsal of the label on the user's file: the number of labelled rows in each split."""

import numpy as np

from headrace.core.errors import DeclarationError
from headrace.datasets import DatasetSpec, TimeSplits
from headrace.datasets.splits.assignment import assign, label_cuts
from headrace.datasets.vocabulary import SPLITS
from headrace.features import Label, Spine, attach_label, build_spine
from headrace.scaffold.inspection.facts import Facts
from headrace.scaffold.pipeline_choices import Choices


def labelled(facts: Facts, choices: Choices) -> dict[str, int]:
    """Return {split: number of labelled rows} of the first release.

    Raises:
        DeclarationError: if training or validation would be empty.
    """
    table = facts.look.ask.table_name
    spec, contracts = _spec(facts, choices), {table: facts.contract}
    spine = build_spine(
        Spine(table, choices.offset, choices.entity), lambda _, __: facts.table, contracts
    )
    t = spine["t"].to_numpy()
    frame = attach_label(
        spine, spec.label, lambda _, __: facts.table, contracts, label_cuts(spec, t)
    )
    split = assign(spec, t, frame["label_reason"]).split
    counts = {name: int(np.count_nonzero(split == n)) for n, name in enumerate(SPLITS)}
    if not (counts["train"] and counts["valid"]):
        raise DeclarationError(
            f"too few rows are followed by another of the same {', '.join(choices.entity)} within "
            f"{choices.horizon}: {counts}",
            where="training and validation need labelled rows",
            fix="give more history, or an --entity that has rows more often",
        )
    return counts


def _spec(facts: Facts, choices: Choices) -> DatasetSpec:
    label = Label(
        "outlook",
        facts.look.ask.table_name,
        choices.entity,
        (choices.target,),
        choices.horizon,
        choices.settle,
    )
    splits = TimeSplits(choices.train_until, choices.valid_until, choices.cutoff)
    return DatasetSpec(
        "rehearsal",
        tuple(column.name for column in facts.look.key),
        label,
        splits,
        choices.cutoff,
        left_out=("no outcome", "all null", "null entity"),
    )

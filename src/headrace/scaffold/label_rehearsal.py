"""A rehearsal on the file: how many rows will have a label, split by split."""

import numpy as np

from headrace.core.errors import DeclarationError
from headrace.datasets import DatasetSpec, TimeSplits
from headrace.datasets.splits.assignment import assign, label_cuts
from headrace.datasets.vocabulary import SPLITS
from headrace.features import Label, Spine, attach_label, build_spine
from headrace.scaffold.inspection.facts import Facts
from headrace.scaffold.pipeline_choices import Choices


def labelled(found: Facts, chosen: Choices) -> dict[str, int]:
    """Rows of each split, as the first release will have them.

    Raises:
        DeclarationError: training or validation would be empty.
    """
    table = found.look.ask.table_name
    spec, contracts = _spec(found, chosen), {table: found.contract}
    spine = build_spine(
        Spine(table, chosen.offset, chosen.entity), lambda _, __: found.table, contracts
    )
    t = spine["t"].to_numpy()
    frame = attach_label(
        spine, spec.label, lambda _, __: found.table, contracts, label_cuts(spec, t)
    )
    split = assign(spec, t, frame["label_reason"]).split
    counts = {name: int(np.count_nonzero(split == n)) for n, name in enumerate(SPLITS)}
    if not (counts["train"] and counts["valid"]):
        raise DeclarationError(
            f"too few rows are followed by another of the same {', '.join(chosen.entity)} within "
            f"{chosen.horizon}: {counts}",
            where="training and validation need some",
            fix="give more history, or an --entity whose rows come more often",
        )
    return counts


def _spec(found: Facts, chosen: Choices) -> DatasetSpec:
    label = Label(
        "outlook",
        found.look.ask.table_name,
        chosen.entity,
        (chosen.target,),
        chosen.horizon,
        chosen.settle,
    )
    splits = TimeSplits(chosen.train_until, chosen.valid_until, chosen.cutoff)
    return DatasetSpec(
        "rehearsal",
        tuple(column.name for column in found.look.key),
        label,
        splits,
        chosen.cutoff,
        left_out=("no outcome", "all null", "null entity"),
    )

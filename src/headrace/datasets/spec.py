"""Declaration of a dataset, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.core.clock import duration, iso, parse_iso
from headrace.core.errors import DeclarationError
from headrace.core.files import digest
from headrace.datasets.card.statement import Statement
from headrace.datasets.fits.transforms import Transform
from headrace.datasets.governance.privacy import Treatment
from headrace.datasets.splits.rules import Evaluation, GroupSplits, Leakage, Splits, rule_form
from headrace.datasets.vocabulary import NAME
from headrace.features.spec import Label, Spine


@dataclass(frozen=True)
class DatasetSpec:
    """A dataset: its rows, its label, its splits and its permitted uses.

    `key` names the columns that identify a row. `cutoff` is an RFC 3339 moment; the release uses no
    later data. `left_out` lists the label reasons for which a row may be excluded; a training set
    with any other reason is refused, so that no row is lost unnoticed. `commercial` says whether
    `purpose` is commercial; a source for non-commercial use requires an explicit False. `privacy`
    gives each personal or sensitive column its treatment (see
    `headrace.datasets.governance.privacy`). `evaluation` reserves rows for a final evaluation;
    `leakage` defines which rows count as leaks between splits. `fits` are transforms that are
    fitted on the training split; models trained on the dataset include them. `card` holds the
    hand-written statements of the dataset card (`headrace.datasets.card.load_card`).

    `spine` declares the rows; without it, the dataset has those of the pipeline's `spine`. `views`
    chooses the pipeline's views by name or pattern (`carrier*`); None means all.
    """

    name: str
    key: tuple[str, ...]
    label: Label
    splits: Splits
    cutoff: str
    left_out: tuple[str, ...] = ("no outcome",)
    purpose: str = "training"
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=dict, hash=False)
    commercial: bool | None = None
    privacy: Mapping[str, Treatment] = field(default_factory=dict, hash=False)
    evaluation: Evaluation | None = None
    leakage: Leakage = field(default_factory=Leakage)
    fits: tuple[Transform, ...] = ()
    card: tuple[Statement, ...] = ()
    spine: Spine | None = None
    views: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise DeclarationError(
                f"{self.name!r} is not a dataset name",
                fix="lower-case letters, digits and underscores, starting with a letter",
            )
        if not self.key:
            raise DeclarationError(
                f"key {self.key!r} names no columns", where=f"dataset {self.name}", fix="a tuple"
            )
        if isinstance(self.views, str):
            raise DeclarationError(
                f"views {self.views!r} is not a tuple of names",
                where=f"dataset {self.name}",
                fix='write views=("NAME",), or leave it out to read all views',
            )
        if self.evaluation is not None:
            self._check_evaluation(self.evaluation)

    def _check_evaluation(self, apart: Evaluation) -> None:
        where = f"dataset {self.name}, evaluation"
        tuned = self.splits.tuned_until
        if tuned is not None and apart.after_us < tuned:
            raise DeclarationError(
                f"the evaluation split begins at {iso(apart.after_us)}, but rows up to {iso(tuned)}"
                " are used to choose the model",
                where=where,
                fix=f"Evaluation(after={iso(tuned)!r}), or later",
            )
        if isinstance(self.splits, GroupSplits) and apart.group not in {(), self.splits.by}:
            raise DeclarationError(
                f"the splits are grouped by {self.splits.by}, but evaluation by {apart.group}",
                where=where,
                fix="leave out group, so that the evaluation split uses the groups of the splits",
            )

    @property
    def evaluation_group(self) -> tuple[str, ...]:
        """Columns whose values define the groups of the evaluation split; () without groups."""
        if self.evaluation is None:
            return ()
        by = self.splits.by if isinstance(self.splits, GroupSplits) else ()
        return self.evaluation.group or by

    @property
    def training_until(self) -> int:
        """End of the training split, or the cutoff if earlier; microseconds UTC."""
        bound = self.splits.training_until
        return self.cutoff_us if bound is None else min(bound, self.cutoff_us)

    @property
    def target(self) -> str:
        """The column to predict: the first column of the label."""
        return self.label.columns[0]

    @property
    def cutoff_us(self) -> int:
        return parse_iso(self.cutoff)

    def label_form(self) -> dict[str, Any]:
        """Definition of the label and its digest, for the manifest and the version number."""
        form = {
            "name": self.label.name,
            "table": self.label.table,
            "target": self.target,
            "columns": list(self.label.columns),
            "key": list(self.label.key),
            "entity_map": dict(self.label.entity_map),
            "horizon_us": duration(self.label.horizon),
            "settle_us": duration(self.label.settle),
            "status": self.label.status,
            "excluded": list(self.label.excluded),
        }
        return {**form, "hash": digest(form)}

    def split_form(self) -> dict[str, Any]:
        """Split rule for the manifest and the version number; moments in microseconds UTC."""
        return dict(rule_form(self.splits, self.evaluation, self.key, self.left_out))

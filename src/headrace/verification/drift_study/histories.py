"""Histories for the study of a project's monitors: those of its pipelines, and declared ones."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace.core.errors import DeclarationError
from headrace.core.home import Home
from headrace.models.tasks import BINARY
from headrace.monitoring.decisions.policy import Policy
from headrace.pipeline.definition import Pipeline
from headrace.pipeline.load import project_pipelines, study_modules
from headrace.verification.drift_study import ReplayedHistory, StudyScorer
from headrace.verification.drift_study.cases import Cases
from headrace.verification.drift_study.replayed_history import scores_of
from headrace.verification.drift_study.scoring import StudyPlan
from headrace.verification.drift_study.study import run_study

_PARTS = ("train", "valid", "test")


@dataclass(frozen=True, eq=False)
class Studied:
    """History, and the policy under which it is studied."""

    history: ReplayedHistory
    policy: Policy
    policy_path: Path


def studied(home: Home) -> list[Studied]:
    """Return the histories of the project's pipelines, then those of its `monitor_studies`.

    A declared history with a pipeline's name replaces the pipeline's own. Declared histories use
    the policy of the first pipeline.

    Raises:
        DeclarationError: the project has no history.
    """
    pipelines = [part for pipeline in project_pipelines() for part in pipeline.each_monitor()]
    declared = [history for module in study_modules() for history in module.histories()]
    names = {history.name for history in declared}
    studies = []
    for pipeline in pipelines:
        pipeline_history = None if _name(pipeline) in names else own_history(pipeline, home)
        if pipeline_history is not None:
            studies.append(
                Studied(pipeline_history, pipeline.monitor.policy(), pipeline.monitor.policy_path)
            )
    for first in pipelines[:1]:
        policy, path = first.monitor.policy(), first.monitor.policy_path
        studies += [Studied(history, policy, path) for history in declared]
    if not studies:
        raise DeclarationError(
            "; ".join(["there is no history on which to study the monitors", *not_studied()]),
            where=str(home.root),
            fix="declare a monitor, release its dataset and train its model: headrace run",
        )
    return studies


def not_studied() -> list[str]:
    """Return a sentence for each monitor whose model the study has no faults for."""
    return [
        f"monitor {part.monitor.name} is not studied: faults exist only for binary models, and"
        f" {part.model.name} is a model of the task {part.model.task}"
        for pipeline in project_pipelines()
        for part in pipeline.each_monitor()
        if part.model.kind is not BINARY
    ]


def _name(pipeline: Pipeline) -> str:
    """Return the name of a history: of the pipeline or, if it has several, of the monitor."""
    return pipeline.name if pipeline.full_pipeline is pipeline else pipeline.monitor.name


def own_history(pipeline: Pipeline, home: Home) -> ReplayedHistory | None:
    """Return a pipeline's released rows, with the champion's scores of later rows.

    The scored rows are those after the champion's training cutoff. Return None if there is no
    release, no champion for the release's feature definitions, no row after the cutoff, or if the
    champion is not a binary model of LightGBM, for which alone faults exist.
    """
    from headrace.datasets import list_releases, open_release
    from headrace.models import champion
    from headrace.models.record import LIGHTGBM
    from headrace.pipeline.monitor_inputs import label_derived, taught_until

    record = champion(home, pipeline.model.name)
    dataset_names = {release.ref.partition("@")[0] for release in list_releases(home.store)}
    if record is None or record.task is not BINARY or record.learner != LIGHTGBM:
        return None
    if pipeline.dataset.name not in dataset_names:
        return None
    dataset = open_release(f"{pipeline.dataset.name}@latest", store=home.store)
    definitions = dataset.manifest.definitions
    taught = taught_until(home, record)
    answers_for = all(
        definitions.get(view) == definition for view, definition in record.definitions.items()
    )
    if taught is None or not answers_for:
        return None
    inputs = [column.name for column in record.features]
    names = list(dict.fromkeys([*dataset.manifest.features, *inputs, *record.segments]))
    columns = ["t", *names, record.target]
    parts = [dataset.split(name).arrow.select(columns) for name in _PARTS]
    rows = _in_order(pa.concat_tables(parts))
    late = rows.slice(int(rows["t"].to_numpy().searchsorted(taught)))
    if not late.num_rows:
        return None
    texts = tuple(n for n in record.segments if pa.types.is_string(late.schema.field(n).type))
    scorer = StudyScorer(record.text(), record.features, record.fits())
    watched = set(dataset.manifest.features)
    spec = pipeline.monitor
    return ReplayedHistory(
        name=_name(pipeline),
        frame=rows.select(["t", *names]).combine_chunks(),
        scores=scores_of(late, scorer(late), late[record.target], texts),
        segments=texts,
        window_days=spec.window_days,
        anchor=spec.anchor,
        offset=spec.offset,
        maturity=spec.maturity,
        exclude=(*spec.exclude, *(name for name in names if name not in watched)),
        label_derived=spec.label_derived or label_derived(pipeline),
        part="own",
        about=f"{dataset.ref}, answered by {record.ref}",
        scorer=scorer,
    )


def _in_order(rows: pa.Table) -> pa.Table:
    t = rows["t"].cast(pa.timestamp("us")).cast(pa.int64())
    return rows.set_column(rows.column_names.index("t"), "t", t).sort_by("t")


def bench_monitors(home: Home, plan: StudyPlan, *, peers: bool = False) -> dict[str, Any]:
    """Study this project's histories and return the results as JSON; `home` is not changed.

    With `peers`, other detectors that `monitor_studies` declares run on the same windows.
    """
    inputs = [(entry.history, entry.policy, entry.policy_path) for entry in studied(home)]
    peer_modules = [module for module in study_modules() if peers and hasattr(module, "peers")]
    cases = Cases() if peer_modules else None
    study = run_study(inputs, plan, cases)
    monitors = [line for module in peer_modules for line in module.peers(cases)]
    return {**study.to_json(), "peers": monitors, "not_studied": not_studied()}

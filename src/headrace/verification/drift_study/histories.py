"""The histories that a project's monitors are tried on: its own, and what it declares beside."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace.core.errors import DeclarationError
from headrace.core.home import Home
from headrace.monitoring.decisions.policy import Policy
from headrace.pipeline.definition import Pipeline
from headrace.pipeline.load import project_pipelines, study_modules
from headrace.verification.drift_study import History, Scorer
from headrace.verification.drift_study.cases import Cases
from headrace.verification.drift_study.replayed_history import scores_of
from headrace.verification.drift_study.scoring import Plan
from headrace.verification.drift_study.study import run_study

_PARTS = ("train", "valid", "test")


@dataclass(frozen=True, eq=False)
class Studied:
    """A history, and the policy that it is judged by."""

    history: History
    policy: Policy
    policy_path: Path


def studied(home: Home) -> list[Studied]:
    """Own histories of the project's pipelines, then those of its `monitor_studies`.

    A study with a pipeline's name stands for the pipeline's own history. Studies go by the policy
    of the first pipeline.

    Raises:
        DeclarationError: there is none of either.
    """
    pipelines = project_pipelines()
    declared = [history for module in study_modules() for history in module.histories()]
    names = {one.name for one in declared}
    found = []
    for pipeline in pipelines:
        own = None if pipeline.name in names else own_history(pipeline, home)
        if own is not None:
            found.append(Studied(own, pipeline.monitor.policy(), pipeline.monitor.policy_path))
    first = pipelines[0].monitor
    found += [Studied(one, first.policy(), first.policy_path) for one in declared]
    if not found:
        raise DeclarationError(
            "there is no history to try the monitors on",
            where=str(home.root),
            fix="release a dataset and train a model on it: headrace run",
        )
    return found


def own_history(pipeline: Pipeline, home: Home) -> History | None:
    """The released rows of a pipeline with its champion's answers to what it has not learned from.

    None where there is no release yet, no champion that answers for its features, or no row that
    it surely has not learned from.
    """
    from headrace.datasets import list_releases, open_release
    from headrace.models import champion
    from headrace.pipeline.monitor_inputs import label_derived, taught_until

    record = champion(home, pipeline.model.name)
    known = {release.ref.partition("@")[0] for release in list_releases(home.store)}
    if record is None or pipeline.dataset.name not in known:
        return None
    dataset = open_release(f"{pipeline.dataset.name}@latest", store=home.store)
    definitions = dataset.manifest.definitions
    taught = taught_until(home, record)
    answers_for = all(definitions.get(view) == meant for view, meant in record.definitions.items())
    if taught is None or not answers_for:
        return None
    inputs = [column.name for column in record.features]
    names = list(dict.fromkeys([*dataset.manifest.features, *inputs, *record.segments]))
    wanted = ["t", *names, record.target]
    parts = [dataset.split(name).arrow.select(wanted) for name in _PARTS]
    rows = _in_order(pa.concat_tables(parts))
    late = rows.slice(int(rows["t"].to_numpy().searchsorted(taught)))
    if not late.num_rows:
        return None
    texts = tuple(n for n in record.segments if pa.types.is_string(late.schema.field(n).type))
    scorer = Scorer(record.text(), record.features, record.fits())
    watched = set(dataset.manifest.features)
    spec = pipeline.monitor
    return History(
        name=pipeline.name,
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


def bench_monitors(home: Home, plan: Plan, *, peers: bool = False) -> dict[str, Any]:
    """The study of this project's histories as one JSON value; nothing is kept in `home`.

    With `peers`, what `monitor_studies` bring to compare with is asked about the same windows.
    """
    given = [(one.history, one.policy, one.policy_path) for one in studied(home)]
    others = [module for module in study_modules() if peers and hasattr(module, "peers")]
    cases = Cases() if others else None
    done = run_study(given, plan, cases)
    monitors = [line for module in others for line in module.peers(cases)]
    return {**done.to_json(), "peers": monitors}

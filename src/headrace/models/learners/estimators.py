"""Scikit-learn estimators in a worker process, which loads this file by its path.

The estimator gets a pandas frame: numbers and booleans as float64 with NaN for null, text and other
categorical columns as pandas categories in the order of the vocabulary, NaN for null and for values
that were not in training. It is stored with skops; nothing is pickled.
"""

import io
import itertools
import json
import re
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

FILE = "estimator.skops"
# Types of common estimators that skops does not trust by itself. They hold arrays and settings.
_REVIEWED = {
    "functools.partial",
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.compose._column_transformer.make_column_selector",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
    "sklearn.utils.validation.check_array",
}
_HOST: Any = sys.modules["__main__"]  # worker_process, with the rules for the team's functions


def train(setup: Mapping[str, Any], folder: Path, rows: Any, valid: Any, label: str) -> None:  # noqa: ANN401, ARG001
    import skops.io

    estimator = _HOST.resolve(setup["entry"])(**setup["params"])
    if not hasattr(estimator, "get_params") or not hasattr(estimator, "fit"):
        raise _HOST.UnusableError(
            f"{setup['entry']} returned {type(estimator).__name__}, not an estimator",
            "return an unfitted estimator, with fit and predict",
        )
    random_states = {
        name: setup["seed"]
        for name, value in estimator.get_params().items()
        if name.rpartition("__")[2] == "random_state" and value is None
    }
    estimator.set_params(**random_states)
    _method(setup, estimator)
    outcome = rows.column(label).to_numpy()
    estimator.fit(_frame(rows.drop_columns([label])), outcome)
    data = _canonical(skops.io.dumps(estimator))
    _require_trusted(setup, data)
    (folder / FILE).write_bytes(data)


def load(setup: Mapping[str, Any], folder: Path) -> Callable[[Any], Any]:
    import skops.io

    data = (folder / FILE).read_bytes()
    _require_trusted(setup, data)
    estimator = skops.io.loads(data, trusted=sorted(_trusted(setup)))
    method = _method(setup, estimator)
    if method == "predict":
        return lambda rows: estimator.predict(_frame(rows))
    columns = [list(estimator.classes_).index(name) for name in setup["classes"]]
    if setup["task"] == "binary":
        columns = columns[1:]
    return lambda rows: estimator.predict_proba(_frame(rows))[:, columns]


def _method(setup: Mapping[str, Any], estimator: Any) -> str:  # noqa: ANN401
    method = "predict_proba" if setup["classes"] else "predict"
    if not hasattr(estimator, method):
        raise _HOST.UnusableError(
            f"{type(estimator).__name__} has no {method}",
            "use an estimator with probabilities; wrap it in CalibratedClassifierCV"
            if setup["classes"]
            else "use a regressor",
        )
    return method


def _frame(rows: Any) -> Any:  # noqa: ANN401 - pyarrow and pandas have no types here
    return rows.to_pandas()


def _trusted(setup: Mapping[str, Any]) -> set[str]:
    return _REVIEWED | set(setup["trusted"])


def _require_trusted(setup: Mapping[str, Any], data: bytes) -> None:
    import skops.io

    unknown = sorted(set(skops.io.get_untrusted_types(data=data)) - _trusted(setup))
    if unknown:
        quoted = ", ".join(f'"{name}"' for name in unknown)
        raise _HOST.UnusableError(
            f"the estimator holds types that are not trusted: {', '.join(unknown)}",
            f"if you trust their code, declare trusted=({quoted},)",
        )


def _canonical(data: bytes) -> bytes:
    """Return the same skops archive without memory addresses and times.

    Skops names objects and their files by address; here they are numbered in their order.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(contents.pop("schema.json"))
    numbers: dict[Any, int] = {}
    counter = itertools.count(1)
    names: dict[str, str] = {}

    def number(value: Any) -> int:  # noqa: ANN401
        if value not in numbers:
            numbers[value] = next(counter)
        return numbers[value]

    def walk(node: Any) -> Any:  # noqa: ANN401
        if isinstance(node, list):
            return [walk(entry) for entry in node]
        if not isinstance(node, dict):
            return node
        renamed = dict(node)
        if isinstance(node.get("__id__"), int):
            renamed["__id__"] = number(node["__id__"])
        if isinstance(node.get("file"), str) and node["file"] in contents:
            stem, _, suffix = node["file"].rpartition(".")
            address = int(stem) if re.fullmatch(r"\d+", stem) else stem
            names[node["file"]] = renamed["file"] = f"{number(address)}.{suffix}"
        return {
            key: entry if key in {"__id__", "file"} else walk(entry)
            for key, entry in renamed.items()
        }

    text = json.dumps(walk(schema), indent=2)
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted((names[name], content) for name, content in contents.items()):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
        archive.writestr(zipfile.ZipInfo("schema.json", (1980, 1, 1, 0, 0, 0)), text)
    return sink.getvalue()

"""TensorFlow Data Validation on the deliveries of a table: `gate_bank_tfdv.py FOLDER TABLE`.

The schema is inferred from the rows of the window, which is renewed every `RENEWED` days, and
deliveries are validated with wider and wider margins: a check's score is the number of margins
under which it reports an anomaly. Drift is measured against the statistics of the window. Every
other clean day is validated, to save time. Writes `TABLE.tfdv.json`: {unit: {kind of
check: {column: score}}}.
"""

import json
import os
import sys
import warnings
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
warnings.simplefilter("ignore")

import pandas as pd  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
import tensorflow_data_validation as tfdv  # noqa: E402
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2  # noqa: E402

WARM_UP, WINDOW = 30, 42
RENEWED, STRIDE = 7, 2
# Margins, from strict to wide: share of rows with values of the domain, share of present values
# relative to the lowest of the window, and distance from a range as a multiple of its width.
MASS = (1.0, 0.995, 0.98, 0.95, 0.9, 0.75, 0.5, 0.25)
PRESENT = (1.0, 0.98, 0.95, 0.9, 0.8, 0.65, 0.5, 0.25)
RANGE = (0.001, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 20.0)
MOST_VALUES = 1000
_KINDS = {
    "ENUM_TYPE_UNEXPECTED_STRING_VALUES": "domain",
    "FEATURE_TYPE_LOW_FRACTION_PRESENT": "presence",
    "FEATURE_TYPE_NOT_PRESENT": "presence",
    "SCHEMA_MISSING_COLUMN": "presence",
    "FLOAT_TYPE_BIG_FLOAT": "range",
    "FLOAT_TYPE_SMALL_FLOAT": "range",
    "COMPARATOR_LOW_NUM_EXAMPLES": "examples",
    "COMPARATOR_HIGH_NUM_EXAMPLES": "examples",
}


def statistics(frame):
    """Return the statistics of a data frame, computed in this process."""
    return tfdv.generate_statistics_from_dataframe(frame, n_jobs=1)


def facts(stats):
    """Return the number of rows, and of each column the share present, minimum and maximum."""
    dataset = stats.datasets[0]
    rows = dataset.num_examples
    columns = {}
    for feature in dataset.features:
        common = feature.num_stats.common_stats
        if feature.HasField("string_stats"):
            common = feature.string_stats.common_stats
        span = None
        if feature.HasField("num_stats") and common.num_non_missing:
            span = (feature.num_stats.min, feature.num_stats.max)
        columns[feature.path.step[0]] = (common.num_non_missing / max(1, rows), span)
    return rows, columns


def schemas(base, window, roles):
    """Return a schema for each margin; texts that are not categories get no domain."""
    inferred = tfdv.infer_schema(
        base, max_string_domain_size=MOST_VALUES, infer_feature_shape=False
    )
    total = max(1, base.datasets[0].num_examples)
    least, most = min(rows for rows, _ in window), max(rows for rows, _ in window)
    made = []
    for at, margin in enumerate(RANGE):
        schema = schema_pb2.Schema()
        schema.CopyFrom(inferred)
        for feature in schema.feature:
            seen = [columns[feature.name] for _, columns in window if feature.name in columns]
            present = min(share for share, _ in seen)
            feature.presence.min_count = 0
            feature.presence.min_fraction = max(0.0, present * PRESENT[at] - 1e-9)
            if feature.type == schema_pb2.BYTES:
                if roles.get(feature.name, "category") != "category":
                    feature.ClearField("domain_info")
                    feature.ClearField("domain")
                    continue
                feature.distribution_constraints.min_domain_mass = MASS[at]
                if not at:
                    feature.drift_comparator.infinity_norm.threshold = 1e-9
                continue
            spans = [span for _, span in seen if span]
            if spans:
                low, high = min(a for a, _ in spans), max(b for _, b in spans)
                width = (high - low) + 0.01 * max(abs(low), abs(high))
                feature.float_domain.min = low - margin * width
                feature.float_domain.max = high + margin * width
            if not at:
                feature.drift_comparator.jensen_shannon_divergence.threshold = 1e-9
        rows = schema.dataset_constraints.num_examples_drift_comparator
        width = (most - least) + 0.01 * most
        rows.min_fraction_threshold = max(0.0, least - margin * width) / total
        rows.max_fraction_threshold = (most + margin * width) / total
        made.append(schema)
    return made


def validate(stats, made, base):
    """Return {kind: {column: score}} of a delivery."""
    found = {}
    for at, schema in enumerate(made):
        graded = False
        anomalies = tfdv.validate_statistics(stats, schema, previous_statistics=base)
        infos = [(key, info) for key, info in anomalies.anomaly_info.items()]
        infos.append(("", anomalies.dataset_anomaly_info))
        for _, info in infos:
            column = info.path.step[0] if info.path.step else ""
            for reason in info.reason:
                name = anomalies_pb2.AnomalyInfo.Type.Name(reason.type)
                kind = _KINDS.get(name)
                if kind is None and not name.startswith("COMPARATOR"):
                    kind = name
                if kind:
                    found.setdefault(kind, {})[column] = at + 1
                    graded = True
        if not at:
            for info in anomalies.drift_skew_info:
                for measurement in info.drift_measurements:
                    kind = anomalies_pb2.DriftSkewInfo.Measurement.Type.Name(measurement.type)
                    found.setdefault(kind, {})[info.path.step[0]] = measurement.value
        if not graded:  # wider margins allow what these allow
            break
    return found


def main(folder: str, table: str) -> None:
    place = Path(folder)
    document = json.loads((place / f"{table}.json").read_text())
    rows = pq.read_table(place / f"{table}.parquet").to_pandas()
    frames = {
        unit: frame.drop(columns="_unit").reset_index(drop=True)
        for unit, frame in rows.groupby("_unit")
    }
    window, known, answers = [], [], {}
    base, made, renewed, clean, pending = None, [], -RENEWED, 0, []
    for at, unit in enumerate(document["units"]):
        frame = frames.get(unit["unit"])
        if frame is None:
            continue
        if not unit["altered"]:
            # Altered deliveries of a day come after its clean form, and have the same window.
            for other, other_facts in pending:
                window, known = [*window, other][-WINDOW:], [*known, other_facts][-WINDOW:]
            clean += 1
        stats = statistics(frame)
        if not unit["altered"]:
            pending = [(frame, facts(stats))]
            is_planted = unit["day"] in document["histories"]
            if clean % STRIDE and not is_planted:
                continue
        if len(window) >= WARM_UP:
            if clean - renewed >= RENEWED:
                base, renewed = statistics(pd.concat(window, ignore_index=True)), clean
                made = schemas(base, known, document["roles"])
            answers[unit["unit"]] = validate(stats, made, base)
        if at % 100 == 0:
            print(table, at, file=sys.stderr)
    (place / f"{table}.tfdv.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    for name in sys.argv[2:]:
        main(sys.argv[1], name)

"""Soda's anomaly detection on figures of a table: `gate_bank_soda.py FOLDER TABLE ...`.

Soda Core reads the history of a metric from Soda Cloud. Here its detector, a Prophet model, gets
the history of the window directly. The limits of a day depend only on the days before, so there is
one fit for each day and metric, and all deliveries of the day are compared with its limits. Writes
`TABLE.soda_anomaly.json`: {day: [limits of each figure, lowest and highest, or null]}.
"""

import json
import logging
import sys
from datetime import date, timedelta
from pathlib import Path

from soda.common.logs import Logs
from soda.scientific.anomaly_detection_v2.anomaly_detector import AnomalyDetector
from soda.sodacl.anomaly_detection_metric_check_cfg import (
    ModelConfigs,
    SeverityLevelParameters,
    TrainingDatasetParameters,
)

logging.disable(logging.CRITICAL)


def limits(days, series, today):
    """Return the limits beyond which the check fails; None if the detector has too few values."""
    values = [(day, value) for day, value in zip(days, series, strict=True) if value is not None]
    if len(values) < 7:
        return None
    # The last value is not part of the training; it only decides how limits are rounded.
    values.append((today, values[-1][1]))
    results = [
        {"id": str(at), "identity": "metric", "value": value, "dataTime": f"{day}T00:00:00Z"}
        for at, (day, value) in enumerate(values)
    ]
    detector = AnomalyDetector(
        {"results": results}, {}, Logs(), ModelConfigs(), TrainingDatasetParameters(),
        SeverityLevelParameters(),
    )  # fmt: skip
    _, diagnostics = detector.evaluate()
    fail = diagnostics["fail"]
    return [fail["lessThanOrEqual"], fail["greaterThanOrEqual"]] if fail else None


def main(folder: str, table: str) -> None:
    place = Path(folder)
    document = json.loads((place / f"{table}.json").read_text())
    answers = {}
    for day, history in document["histories"].items():
        # Consecutive dates: a table without deliveries on Sundays is a sequence all the same.
        start = date.fromisoformat(day) - timedelta(len(history["days"]))
        days = [(start + timedelta(at)).isoformat() for at in range(len(history["days"]))]
        answers[day] = [limits(days, series, day) for series in history["series"]]
        print(table, day, file=sys.stderr)
    (place / f"{table}.soda_anomaly.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    for name in sys.argv[2:]:
        main(sys.argv[1], name)

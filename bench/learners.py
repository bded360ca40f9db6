"""Measure predictions of a warm worker process beside LightGBM in this process.

    python -m bench.learners [--calls 2000] [--json]

The same trees of LightGBM predict in this process and, as a team's own code, in a worker process,
for 1 row and for 1,000 rows of ten columns. The difference is the cost of the worker: Arrow to the
process and back. The time of a call includes the encoding of the rows, as in a server. The last
lines are the start of a worker: until its first answer, with the model loaded.
"""

import argparse
import json
import os
import sys
import time
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from headrace.datasets.fits.fits import encode
from headrace.datasets.fits.fitting import fit
from headrace.datasets.manifest import ManifestColumn
from headrace.models.learners import Trainer
from headrace.models.learners.bundle import LEARNER, LearnerTraining, StoredLearner, stop_workers
from headrace.models.learners.rows import learner_rows

CODE = """
import lightgbm
import numpy as np

def matrix(rows):
    return np.column_stack([rows[f"x{n}"].to_numpy() for n in range(10)])

def train(rows, label, folder, *, seed):
    params = {"objective": "binary", "num_threads": 1, "verbosity": -1, "deterministic": True}
    data = lightgbm.Dataset(matrix(rows), rows[label].to_numpy())
    lightgbm.train({**params, "seed": seed}, data, 100).save_model(folder / "trees.txt")

class Trees:
    def __init__(self, booster):
        self.booster = booster
    def predict(self, rows):
        return self.booster.predict(matrix(rows), num_threads=1)

def load(folder):
    return Trees(lightgbm.Booster(model_file=folder / "trees.txt"))
"""
COLUMNS = [ManifestColumn(name=f"x{n}", type="float64", role="feature") for n in range(10)]


def table(rows):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 10))
    y = (x[:, 0] + x[:, 1] * x[:, 2] + rng.normal(size=rows) > 0).astype(np.int64)
    return pa.table({**{f"x{n}": x[:, n] for n in range(10)}, "y": y})


def percentiles(call, calls):
    """Return the median and the 99th percentile of the seconds of a call."""
    call()
    seconds = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return [float(value) for value in np.quantile(seconds, [0.5, 0.99])]


def trained(folder, rows):
    (folder / "trees_bench.py").write_text(CODE)
    sys.path.insert(0, str(folder))
    bundle = folder / "bundle"
    with LearnerTraining("bench", Trainer("trees_bench:train"), bundle, seed=7) as training:
        training.train("model", rows, rows.slice(0, 10), "y")
        (bundle / LEARNER).write_bytes(training.finish())
    sys.path.remove(str(folder))
    return StoredLearner.open("bench", bundle)


def measure(calls=2_000, rows=20_000):
    """Return {what: {number of rows: [p50, p99] in seconds}} and whether the answers are equal."""
    import lightgbm

    data = table(rows)
    fits = fit(data, ())
    with TemporaryDirectory(prefix="learners-") as name, chdir(name):
        stored = trained(Path(name), data)
        booster = lightgbm.Booster(model_file=stored.folder / "model" / "trees.txt")
        found = {"in this process": {}, "in a warm worker": {}, "equal": True}
        for size in (1, 1_000):
            sample = data.slice(0, size)

            def here(sample=sample):
                return booster.predict(encode(sample, COLUMNS, fits), num_threads=1)

            def there(sample=sample):
                return stored.predict("model", learner_rows(sample, COLUMNS, fits, "trainer"))

            found["in this process"][size] = percentiles(here, calls)
            found["in a warm worker"][size] = percentiles(there, calls)
            found["equal"] &= bool(np.array_equal(here(), there()))
        starts = []
        for _ in range(5):
            stop_workers()
            start = time.perf_counter()
            stored.warm()
            starts.append(time.perf_counter() - start)
        stop_workers()
        found["start"] = float(np.median(starts))
        return found


def page(found):
    lines = ["| rows | | p50, ms | p99, ms |", "| ---: | --- | ---: | ---: |"]
    for size in (1, 1_000):
        for name in ("in this process", "in a warm worker"):
            p50, p99 = (f"{1000 * value:.2f}" for value in found[name][size])
            lines.append(f"| {size:,} | {name} | {p50} | {p99} |")
    equal = "equal" if found["equal"] else "DIFFERENT"
    return "\n".join([*lines, "", f"start: {found['start']:.2f} s; predictions: {equal}"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=2_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options.calls)
    print(json.dumps(found) if options.json else page(found))
    print("load average:", *(f"{value:.1f}" for value in os.getloadavg()), file=sys.stderr)


if __name__ == "__main__":
    main()

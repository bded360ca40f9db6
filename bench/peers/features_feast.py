"""Feast's `get_historical_features`, in its own environment: `python features_feast.py FOLDER OUT`.

Prints JSON like the other sides. Times are timestamps, and events are read from Parquet.
"""

import json
import resource
import sys
import time
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Int64

UTC_MICROSECONDS = pa.timestamp("us", "UTC")


def main(folder: str, out: str) -> None:
    with TemporaryDirectory(prefix="feast-") as work:
        print(json.dumps(measure(Path(folder), Path(work), out)))


def measure(folder: Path, work: Path, out: str) -> dict:
    events = feather.read_table(folder / "events.arrow", memory_map=False)
    moments = events["event_time"].cast(UTC_MICROSECONDS)
    rows = events.select(["entity", "amount", "shop"]).append_column("event_timestamp", moments)
    pq.write_table(rows, work / "events.parquet")
    (work / "feature_store.yaml").write_text(
        f"project: bench\nregistry: {work}/registry.db\nprovider: local\n"
        f"offline_store:\n  type: file\nonline_store:\n  type: sqlite\n  path: {work}/online.db\n"
        "entity_key_serialization_version: 3\n"
    )
    store = FeatureStore(repo_path=str(work))
    source = FileSource(path=str(work / "events.parquet"), timestamp_field="event_timestamp")
    entity = Entity(name="entity", join_keys=["entity"], value_type=ValueType.INT64)
    state = FeatureView(
        name="state",
        entities=[entity],
        ttl=timedelta(0),
        schema=[Field(name=n, dtype=Int64) for n in ("entity", "amount", "shop")],
        source=source,
    )
    store.apply([entity, state])
    spine = feather.read_table(folder / "spine.arrow", memory_map=False)
    asked = spine.rename_columns(["row", "entity", "event_timestamp"])
    asked = asked.set_column(2, "event_timestamp", asked[2].cast(UTC_MICROSECONDS)).to_pandas()
    start = time.perf_counter()
    found = store.get_historical_features(
        entity_df=asked, features=["state:amount", "state:shop"]
    ).to_df()
    seconds = time.perf_counter() - start
    found["amount"] /= 100
    found = pa.Table.from_pandas(found, preserve_index=False).select(["row", "amount", "shop"])
    feather.write_feather(found, out, compression="uncompressed")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"side": "feast", "seconds": seconds, "rss_mb": peak}


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Set up Feast, in its own environment: `python feast_http.py REPO STORE VALUES`.

It makes a repository in REPO, and fills its online store (STORE: sqlite or redis) with VALUES, a
Parquet file of `entity`, `event_time` and the feature values to serve. `--remove` in place of
VALUES empties the store again.
"""

import sys
from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64

STORES = {
    "sqlite": "type: sqlite\n    path: {repo}/online.db",
    "redis": "type: redis\n    connection_string: 127.0.0.1:6379",
}
CONFIG = """project: headrace_bench_http
provider: local
registry:
    path: {repo}/registry.db
    cache_ttl_seconds: 3600
online_store:
    {store}
offline_store:
    type: file
entity_key_serialization_version: 3
"""


def main(repo, store, values):
    config = CONFIG.format(repo=repo, store=STORES[store].format(repo=repo))
    Path(repo, "feature_store.yaml").write_text(config)
    feast = FeatureStore(repo_path=repo)
    if values == "--remove":
        feast.teardown()
        return
    frame = pd.read_parquet(values)
    names = [name for name in frame.columns if name not in {"entity", "event_time"}]
    entity = Entity(name="entity", join_keys=["entity"], value_type=ValueType.INT64)
    kinds = {name: Int64 if frame[name].dtype.kind == "i" else Float64 for name in names}
    view = FeatureView(
        name="f",
        entities=[entity],
        ttl=timedelta(days=0),
        schema=[Field(name="entity", dtype=Int64)]
        + [Field(name=name, dtype=kind) for name, kind in kinds.items()],
        source=FileSource(path=values, timestamp_field="event_time"),
    )
    feast.apply([entity, view, FeatureService(name="vector", features=[view])])
    feast.write_to_online_store("f", df=frame)


if __name__ == "__main__":
    main(*sys.argv[1:])

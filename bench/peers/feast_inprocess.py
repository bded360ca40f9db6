"""Time Feast's in-process path, in its own environment: `python feast_inprocess.py REPO ENTITIES`.

ENTITIES is a JSON file of entity numbers. Prints the seconds of each call, and the first answers.
"""

import json
import sys
import time
from pathlib import Path

from feast import FeatureStore


def main(repo, entities):
    store = FeatureStore(repo_path=repo)
    service = store.get_feature_service("vector")
    asked = json.loads(Path(entities).read_text())
    seconds, answers = [], []
    for number in [*asked[:50], *asked]:
        start = time.perf_counter()
        found = store.get_online_features(features=service, entity_rows=[{"entity": number}])
        values = found.to_dict()
        seconds.append(time.perf_counter() - start)
        answers.append({name: value[0] for name, value in values.items()})
    print(json.dumps({"seconds": seconds[50:], "answers": answers[50:150]}))


if __name__ == "__main__":
    main(*sys.argv[1:])

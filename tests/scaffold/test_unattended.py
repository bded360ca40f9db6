"""A new project watches what it should, and can be simulated by the installed command."""

import json

from tests.scaffold.test_new import run_in

LOOK = """
import json
from headrace.verification.simulation.pipeline_override import module_of
from pathlib import Path
import sys
sys.path[:] = [one for one in sys.path if one not in ("", str(Path.cwd()))]
module = module_of("")
from headrace.pipeline.load import load_pipeline
pipeline = load_pipeline(module)
spec = pipeline.monitor
spec.policy()
print(json.dumps({"module": module, "exclude": spec.exclude}))
"""


def test_it_is_found_without_its_folder_on_the_path_and_no_month_is_watched(made):
    done = run_in(made.root, "-c", LOOK)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["module"] == "pipelines.shop"
    assert "at_month" in told["exclude"]

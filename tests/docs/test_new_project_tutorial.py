"""The tutorial on a new project runs as it is pasted, from a CSV to a corrected delivery."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "tutorials" / "new-project.md"
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.slow
def test_its_blocks_run_one_after_the_other(tmp_path):
    environment = {n: v for n, v in os.environ.items() if not n.startswith("HEADRACE")}
    environment["PATH"] = os.pathsep.join([str(Path(sys.prefix) / "bin"), environment["PATH"]])
    shell = subprocess.run(
        ["bash", "-u"],
        input="\n".join(BLOCKS),
        cwd=tmp_path,
        env={**environment, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shell.returncode == 0, (shell.stdout + shell.stderr)[-4000:]
    assert "<shop_outlook@1.0.0: train" in shell.stdout
    assert "exit code 1" in shell.stdout
    assert re.search(r"orders 2026-03-02 batch \w+: BLOCK, pending", shell.stdout)
    assert re.search(r"│ orders │\s+3,050 │\s+3,050 │\s+0 │\s+0 │\s+0 │", shell.stdout)
    assert re.search(r"\d+ passed", shell.stdout)

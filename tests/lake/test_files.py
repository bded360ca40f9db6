"""Small files are whole or absent, also where several threads write the same one."""

import json
from concurrent.futures import ThreadPoolExecutor

from headrace.core.files import write_json


def test_threads_that_write_one_file_do_not_take_each_others(tmp_path):
    path = tmp_path / "one.json"
    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(write_json, path, {"n": n}) for n in range(40)]
    assert [one.result() for one in done] == [None] * 40
    assert json.loads(path.read_text())["n"] in range(40)
    assert list(tmp_path.iterdir()) == [path]

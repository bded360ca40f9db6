import sys
from types import ModuleType

import pytest

from headrace.core.main_module import as_a_program


@pytest.fixture
def main(monkeypatch):
    """A main module without a file, as a worker has it."""
    module = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    return module


def test_the_main_module_has_a_file_only_inside(main):
    with as_a_program():
        assert main.__file__
    assert not hasattr(main, "__file__")


def test_the_file_is_gone_after_a_failed_import(main):
    with pytest.raises(ImportError), as_a_program():
        raise ImportError
    assert not hasattr(main, "__file__")


def test_a_file_that_was_there_stays(main):
    main.__file__ = "run.py"
    with as_a_program():
        pass
    assert main.__file__ == "run.py"

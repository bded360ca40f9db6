"""One declaration an action: functions, commands and jobs have what it says."""

from inspect import signature

import pytest

from headrace.cli.gate import batch_actions as commands
from headrace.core.batch_actions import BATCH_ACTIONS
from headrace.core.errors import DeclarationError
from headrace.core.permissions import ACTIONS
from headrace.dagster.jobs.batch_actions import _config
from headrace.operations import batch_actions
from headrace.web.dagster_links import ACTIONS as JOBS
from headrace.web.dagster_links import empty_form, op_name


@pytest.mark.parametrize("name", BATCH_ACTIONS)
def test_a_function_takes_what_its_declaration_says(name):
    action, taken = BATCH_ACTIONS[name], signature(getattr(batch_actions, name)).parameters
    assert ("expires" in taken) == (action.expires != "never")
    assert ("batch" in taken) == (not action.of_table)
    assert ("scope" in taken) == (bool(action.rows) and not action.of_table)
    assert name in ACTIONS


@pytest.mark.parametrize("name", JOBS)
def test_a_form_has_only_fields_of_the_job(name):
    fields = set(_config(BATCH_ACTIONS[name]).model_fields)
    form = empty_form(name)["ops"][op_name(name)]["config"]
    assert set(form) <= fields


@pytest.mark.parametrize("name", ["release", "quarantine", "reject", "rerun", "ack"])
def test_a_command_has_an_option_for_each_parameter(name):
    action = BATCH_ACTIONS[name]
    taken = set(signature(getattr(commands, action.command_name)).parameters)
    options = {"checks": "check", "lines": "line", "where": "where"}
    assert taken & set(options.values()) == {options[row] for row in action.rows}
    assert ("until" in taken) == (action.expires == "optional")


def test_a_parameter_of_another_action_is_refused():
    with pytest.raises(DeclarationError, match="ack does not take lines"):
        batch_actions.perform("ack", None, None, "", principal="a", reason="b", lines=[1])

"""Who may do what: strict to read, and closed to whoever is not listed."""

import pytest

from headrace.core.errors import DeclarationError, RefusedError
from headrace.core.permissions import ACTIONS, acting, load_policy, local_user

POLICY = """
version: 1
principals:
  ana: {actions: all}
  night: {actions: [ack, rerun], tables: [weather]}
"""


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return load_policy(path)


@pytest.mark.parametrize(
    ("principal", "action", "table", "why"),
    [
        ("ana", "release", "flights", ""),
        ("night", "ack", "weather", ""),
        ("night", "ack", "flights", "night may not ack on table flights"),
        ("night", "release", "weather", "night may not release"),
        ("eve", "ack", "weather", "eve is not listed in the policy"),
        ("", "ack", "weather", " is not listed in the policy"),
    ],
)
def test_only_what_is_granted_is_allowed(policy, principal, action, table, why):
    assert policy.refusal(principal, action, table) == why
    if why:
        with pytest.raises(RefusedError, match=why):
            policy.check(principal, action, table)
    else:
        policy.check(principal, action, table)


def test_a_refusal_names_who_may(policy):
    with pytest.raises(RefusedError) as refused:
        policy.check("eve", "release", "flights")
    assert "ask one of ana" in refused.value.fix


def test_without_a_file_the_local_user_acts_alone(tmp_path):
    policy = load_policy(tmp_path / "none.yaml")
    assert [policy.refusal(local_user(), action, "any") for action in ACTIONS] == [""] * len(
        ACTIONS
    )
    assert policy.refusal(f"{local_user()}-2", "ack", "any")


def test_the_local_user_is_whoever_runs_it(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text("version: 1\nprincipals: {local-user: {actions: [ack]}}")
    policy = load_policy(path)
    assert policy.refusal(local_user(), "ack", "any") == ""
    assert policy.refusal(local_user(), "release", "any")
    assert policy.refusal("local-user", "ack", "any") == ""
    assert policy.refusal("local-user", "release", "any") == f"{local_user()} may not release"
    assert acting("local-user") == local_user()
    path.write_text(
        f"version: 1\nprincipals: {{local-user: {{actions: all}}, {local_user()}: {{actions: []}}}}"
    )
    with pytest.raises(DeclarationError, match="listed by name and as local-user"):
        load_policy(path)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("version: 2\nprincipals: {}", "2 is not allowed here"),
        ("principals: {}", "'version' is missing"),
        ("version: 1\nprincipals: [ana]", "expected a mapping"),
        ("version: 1\nprincipals: {ana: {actions: [relaese]}}", "'relaese' is not allowed here"),
        ("version: 1\nprincipals: {ana: {action: [ack]}}", "unknown key 'action'"),
        ("version: 1\nprincipals: {ana: {actions: [ack], tables: [3]}}", "expected text"),
        ("version: 1\nprincipals: {ana: {actions: [ack]}, ana: {actions: all}}", "given twice"),
        (": :", "not valid YAML"),
    ],
)
def test_a_policy_that_is_misread_would_open_doors(tmp_path, text, what):
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(DeclarationError, match=what):
        load_policy(path)


def test_a_principal_is_given_or_taken_from_the_surroundings(monkeypatch):
    monkeypatch.setenv("HEADRACE_PRINCIPAL", "robot")
    assert acting("ana") == "ana"
    assert acting() == "robot"
    monkeypatch.delenv("HEADRACE_PRINCIPAL")
    assert acting() == local_user()

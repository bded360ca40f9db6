"""The switch for schedules and sensors: on, off and a list, also while the UI runs.

States lie in Dagster's own database, which the daemon reads at every tick; so the switch is the
same as the one in the browser, and needs no server. Dagster has no public call for it outside its
UI; what is used here is what `dagster sensor start` uses.
"""

import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from headrace.core.errors import DeclarationError, StateError
from headrace.core.home import Home
from headrace.dagster.instance import open_instance
from headrace.dagster.workspace import FILE, check_workspace

if TYPE_CHECKING:
    from dagster._core.remote_representation.external import RemoteSchedule, RemoteSensor

    Trigger = RemoteSchedule | RemoteSensor

# Switched on together by `headrace automation on`; sensors of streams are usual as well.
USUAL = ("deliveries", "builds", "alerts", "nightly_maintenance")
# The others, and when to switch them on.
_ELSE = {
    "daily_ingest": "instead of deliveries: once a day",
    "daily_reference": "instead of deliveries: once a day",
    "daily_build": "instead of builds: once a day",
    "retraining": "once you trust the monitors: it trains and promotes models",
    "online": "if you serve from the online store",
    "daily_audit": "if you serve features: it compares what was served with training",
}


@dataclass(frozen=True)
class Automation:
    """One schedule or sensor.

    Attributes:
        pipeline: its code location.
        kind: "schedule" or "sensor".
        running: whether it is switched on.
        usual: whether `headrace automation on` switches it on.
        when: for the others, when to switch them on.
        description: the work that it launches.
    """

    pipeline: str
    name: str
    kind: str
    running: bool
    usual: bool
    when: str
    description: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def list_automation(home: Home, project: Path) -> list[Automation]:
    """Every schedule and sensor of the project's code locations, the usual ones first.

    Raises:
        StateError: a code location cannot be loaded.
    """
    with open_instance(home) as instance, _triggers(instance, project) as triggers:
        return _all(instance, triggers)


def switch(home: Home, project: Path, *, on: bool, only: Collection[str] = ()) -> list[Automation]:
    """Switch these on or off, and return all; without names the usual ones on, or everything off.

    Raises:
        DeclarationError: there is no schedule or sensor of such a name.
        StateError: a code location cannot be loaded.
    """
    with open_instance(home) as instance, _triggers(instance, project) as triggers:
        names = {one.name for _, one in triggers}
        if unknown := sorted(set(only) - names):
            raise DeclarationError(
                f"no schedule or sensor {', '.join(unknown)}",
                fix=f"one of {', '.join(sorted(names))}",
            )
        for _, one in triggers:
            if one.name in only or (not only and (_is_usual(one.name) or not on)):
                _set(instance, one, on=on)
        return _all(instance, triggers)


def _all(
    instance: dg.DagsterInstance, triggers: "Sequence[tuple[str, Trigger]]"
) -> list[Automation]:
    found = [_described(instance, pipeline, one) for pipeline, one in triggers]
    return sorted(found, key=lambda one: (one.pipeline, not one.usual, one.name))


def _is_usual(name: str) -> bool:
    return name in USUAL or name not in _ELSE


def _described(instance: dg.DagsterInstance, pipeline: str, one: "Trigger") -> Automation:
    return Automation(
        pipeline=pipeline,
        name=one.name,
        kind="sensor" if _is_sensor(one) else "schedule",
        running=_is_running(instance, one),
        usual=_is_usual(one.name),
        when=_ELSE.get(one.name, ""),
        description=one.description or "",
    )


def _is_sensor(one: "Trigger") -> bool:
    from dagster._core.remote_representation.external import RemoteSensor

    return isinstance(one, RemoteSensor)


def _is_running(instance: dg.DagsterInstance, one: "Trigger") -> bool:
    stored = instance.get_instigator_state(one.get_remote_origin_id(), one.selector_id)
    return bool(one.get_current_instigator_state(stored).is_running)


def _set(instance: dg.DagsterInstance, one: "Trigger", *, on: bool) -> None:
    """Repeating it changes nothing; a trigger that already has the state keeps its record."""
    from dagster._core.remote_representation.external import RemoteSensor

    if _is_running(instance, one) == on:
        return
    origin, selector = one.get_remote_origin_id(), one.selector_id
    if isinstance(one, RemoteSensor):
        if on:
            instance.start_sensor(one)
        else:
            instance.stop_sensor(origin, selector, one)
    elif on:
        instance.start_schedule(one)
    else:
        instance.stop_schedule(origin, selector, one)


@contextmanager
def _triggers(
    instance: dg.DagsterInstance, project: Path
) -> "Iterator[Sequence[tuple[str, Trigger]]]":
    """(code location, schedule or sensor) of the project's workspace, loaded in this process.

    A state is found by the names of its code location, repository and trigger; so it is the same
    for the daemon, which loads the workspace in servers of its own.
    """
    from dagster._core.remote_origin import InProcessCodeLocationOrigin
    from dagster._core.workspace.load_target import WorkspaceFileTarget

    check_workspace(project)
    triggers: list[tuple[str, Trigger]] = []
    with ExitStack() as stack:
        for origin in WorkspaceFileTarget([str(project / FILE)]).create_origins():
            name, target = origin.location_name, origin.loadable_target_origin
            # Dagster reads a property of its own that it has deprecated.
            stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", message="Property `ScheduleDefinition.environment")
            try:
                location = stack.enter_context(
                    InProcessCodeLocationOrigin(
                        target, location_name=name, container_image=None, entry_point=None
                    ).create_location(instance)
                )
            except Exception as error:
                raise StateError(
                    f"code location {name} cannot be loaded: {error}",
                    where=str(project / FILE),
                    fix="mend it; headrace status shows the same error",
                ) from error
            for repository in location.get_repositories().values():
                triggers += [(name, sensor) for sensor in repository.get_sensors()]
                triggers += [(name, schedule) for schedule in repository.get_schedules()]
        yield triggers

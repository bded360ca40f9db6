"""Switch schedules and sensors on and off, and list them, with or without a running UI.

The states are in Dagster's database, which the daemon reads at every tick. So this is the same
switch as in the UI, and it needs no server. Dagster has no public Python API for it; this module
makes the same calls as `dagster sensor start`.
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
from headrace.dagster.sensors.retraining_trigger import RETRAINING
from headrace.dagster.workspace import FILE, check_workspace

if TYPE_CHECKING:
    from dagster._core.remote_representation.external import RemoteSchedule, RemoteSensor

    Trigger = RemoteSchedule | RemoteSensor

# `headrace automation on` switches these on, and the sensors of streams.
USUAL = ("deliveries", "builds", "alerts", "nightly_maintenance")
# All others, with advice when to switch them on.
_ELSE = {
    "daily_ingest": "instead of deliveries: once a day",
    "daily_reference": "instead of deliveries: once a day",
    "daily_build": "instead of builds: once a day",
    RETRAINING: "once you trust the monitors: it trains and promotes models",
    "online": "if you serve from the online store",
    "daily_audit": "if you serve features: it compares served vectors with recomputed ones",
}


@dataclass(frozen=True)
class Automation:
    """One schedule or sensor.

    Attributes:
        pipeline: name of its code location.
        kind: "schedule" or "sensor".
        running: True if it is switched on.
        usual: True if `headrace automation on` switches it on.
        when: advice when to switch it on; empty if it is usual.
        description: description of the work that it launches.
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
    """Return every schedule and sensor of the project's code locations, the usual ones first.

    Raises:
        StateError: a code location cannot be loaded.
    """
    with open_instance(home) as instance, _triggers(instance, project) as triggers:
        return _all(instance, triggers)


def switch(home: Home, project: Path, *, on: bool, only: Collection[str] = ()) -> list[Automation]:
    """Switch schedules and sensors on or off, and return the states of all.

    Without names in `only`, `on=True` switches on the usual ones, `on=False` switches off all.

    Raises:
        DeclarationError: a name in `only` is not a schedule or sensor.
        StateError: a code location cannot be loaded.
    """
    with open_instance(home) as instance, _triggers(instance, project) as triggers:
        names = {trigger.name for _, trigger in triggers}
        if unknown := sorted(set(only) - names):
            raise DeclarationError(
                f"no schedule or sensor {', '.join(unknown)}",
                fix=f"one of {', '.join(sorted(names))}",
            )
        for _, trigger in triggers:
            if trigger.name in only or (not only and (_is_usual(trigger.name) or not on)):
                _set(instance, trigger, on=on)
        return _all(instance, triggers)


def _all(
    instance: dg.DagsterInstance, triggers: "Sequence[tuple[str, Trigger]]"
) -> list[Automation]:
    automations = [_described(instance, pipeline, trigger) for pipeline, trigger in triggers]
    return sorted(
        automations,
        key=lambda automation: (automation.pipeline, not automation.usual, automation.name),
    )


def _is_usual(name: str) -> bool:
    return name in USUAL or not _advice(name)


def _advice(name: str) -> str:
    """Return when to switch a schedule or sensor on; empty if it is usual."""
    advice = _ELSE.get(name, "")
    # Sensors of further monitors have names that begin with that of the first.
    return _ELSE[RETRAINING] if name.startswith(f"{RETRAINING}_") else advice


def _described(instance: dg.DagsterInstance, pipeline: str, trigger: "Trigger") -> Automation:
    return Automation(
        pipeline=pipeline,
        name=trigger.name,
        kind="sensor" if _is_sensor(trigger) else "schedule",
        running=_is_running(instance, trigger),
        usual=_is_usual(trigger.name),
        when=_advice(trigger.name),
        description=trigger.description or "",
    )


def _is_sensor(trigger: "Trigger") -> bool:
    from dagster._core.remote_representation.external import RemoteSensor

    return isinstance(trigger, RemoteSensor)


def _is_running(instance: dg.DagsterInstance, trigger: "Trigger") -> bool:
    stored = instance.get_instigator_state(trigger.get_remote_origin_id(), trigger.selector_id)
    return bool(trigger.get_current_instigator_state(stored).is_running)


def _set(instance: dg.DagsterInstance, trigger: "Trigger", *, on: bool) -> None:
    """Switch a schedule or sensor, unless it has the state already."""
    from dagster._core.remote_representation.external import RemoteSensor

    if _is_running(instance, trigger) == on:
        return
    origin, selector = trigger.get_remote_origin_id(), trigger.selector_id
    if isinstance(trigger, RemoteSensor):
        if on:
            instance.start_sensor(trigger)
        else:
            instance.stop_sensor(origin, selector, trigger)
    elif on:
        instance.start_schedule(trigger)
    else:
        instance.stop_schedule(origin, selector, trigger)


@contextmanager
def _triggers(
    instance: dg.DagsterInstance, project: Path
) -> "Iterator[Sequence[tuple[str, Trigger]]]":
    """Load the project's workspace in this process; yield (code location, trigger) pairs.

    Dagster stores states under the names of code location, repository and trigger. So the daemon,
    which loads the workspace in other processes, finds the same states.
    """
    from dagster._core.remote_origin import InProcessCodeLocationOrigin
    from dagster._core.workspace.load_target import WorkspaceFileTarget

    check_workspace(project)
    triggers: list[tuple[str, Trigger]] = []
    with ExitStack() as stack:
        for origin in WorkspaceFileTarget([str(project / FILE)]).create_origins():
            name, target = origin.location_name, origin.loadable_target_origin
            # Dagster itself reads a property that it has deprecated.
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
                    fix="fix the error; headrace status shows it as well",
                ) from error
            for repository in location.get_repositories().values():
                triggers += [(name, sensor) for sensor in repository.get_sensors()]
                triggers += [(name, schedule) for schedule in repository.get_schedules()]
        yield triggers

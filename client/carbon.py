"""Carbon-aware scheduling at a site: whether a round waits, and how many epochs it trains."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Protocol, TypeVar

from flwr.app import Metadata

from client.outbox import Outbox
from client.site import Site
from common.carbon_file import SHARE, CarbonHours, read_carbon_hours
from common.carbon_schedule import is_dirty, latest_start, seconds_to_wait
from common.errors import InputError
from common.logs import facts
from common.wire import phase_of
from report.run_record import json_lines
from strategies.records import Request

logger = logging.getLogger("syncytium.site")
LONGEST_SLEEP = 30.0
# Phases that train local epochs.
OF_EPOCHS = ("fit", "classifier_fit")


class Passes(Protocol):
    """What a training says of its passes over the cells."""

    local_epochs: int


Training = TypeVar("Training", bound=Passes)


@dataclass(frozen=True)
class Plan:
    """What a site's file of hours means for one message.

    Parameters
    ----------
    arrived
        When the message came, Unix time.
    hours
        Of its grid; None without a file that can be used.
    wait
        Seconds until it is to be worked on.
    fault
        Why there are no hours, where this run's log does not say it yet.
    """

    arrived: float
    hours: CarbonHours | None = None
    wait: float = 0.0
    fault: str = ""


def plan_of(site: Site, phase: str, run: str, asked: Metadata, request: Request) -> Plan:
    """The plan for a message that has come just now.

    A file that cannot be used is told once in a run, which goes on without it.
    """
    arrived, action = time.time(), site.node.carbon_action
    if not site.node.carbon_file:
        return Plan(arrived)
    lines = _lines(site, run)
    try:
        hours = _hours(site, arrived)
    except InputError as error:
        return Plan(arrived, fault=_told(site, lines, str(error)))
    wait = 0.0
    if phase_of(phase).train and action == "delay":
        wait = _wait(site, hours, arrived, phase, lines, asked, request)
    elif phase_of(phase).train and action == "fewer-epochs" and phase not in OF_EPOCHS:
        _no_effect(site, lines, phase, "this training has no local epochs")
    return Plan(arrived, hours, wait)


def fewer_epochs(site: Site, training: Training, outbox: Outbox) -> Training:
    """The training with half of its local epochs in a dirty hour, where site and run allow it."""
    node, now = site.node, time.time()
    if node.carbon_action != "fewer-epochs":
        return training
    planned, why = training.local_epochs, ""
    if site.config.strategy_name == "fedsgd":
        why = "with strategy = fedsgd a round is one step of all sites"
    elif planned < 2:
        why = f"local-epochs = {planned} cannot be fewer"
    elif not site.config.allow_fewer_epochs:
        why = "the run's allow-fewer-epochs is false"
    if why:
        _no_effect(site, _lines(site, outbox.run), outbox.phase, why)
        return training
    try:
        hours = _hours(site, now)
    except InputError:
        # Told when the message came.
        return training
    if not is_dirty(hours, now, node.carbon_limit):
        return training
    trained = planned // 2
    outbox.local(fewer_epochs={"trained": trained, "planned": planned})
    logger.info("%s: %d of %d local epochs in a dirty hour", site.name, trained, planned)
    return replace(training, local_epochs=trained)


def sleep(begin: float, seconds: float) -> None:
    """Until so long after ``begin``; not longer if the clock is set back meanwhile.

    In pieces, so that a machine that slept itself does not sleep on.
    """
    left = seconds
    while (rest := min(left, begin + seconds - time.time())) > 0:
        piece = min(rest, LONGEST_SLEEP)
        time.sleep(piece)
        left -= piece


def _lines(site: Site, run: str) -> list[dict[str, Any]]:
    return [line for line in json_lines(site.outbox_log) if line.get("run") == run]


def _hours(site: Site, now: float) -> CarbonHours:
    hours = read_carbon_hours(site.node.carbon_file)
    hours.require_now(now)
    if hours.kind == SHARE and site.node.carbon_limit > 1:
        raise InputError(
            f"carbon-limit = {site.node.carbon_limit:g} is above 1, and {hours.path} has "
            "renewable shares: give a share, as 0.5"
        )
    return hours


def _told(site: Site, lines: Sequence[Mapping[str, Any]], fault: str) -> str:
    """The fault, if the run's log does not have one yet."""
    if any("fault" in line.get("carbon", {}) for line in lines):
        return ""
    logger.warning(
        "%s: %s. The run goes on without it: nothing is delayed or left out, and emissions are by "
        "%g kg CO2e per kWh",
        site.name,
        fault,
        site.node.emission_factor,
        extra=facts(event="no carbon hours", reason=fault),
    )
    return fault


def _no_effect(site: Site, lines: Sequence[Mapping[str, Any]], phase: str, why: str) -> None:
    if all(line.get("phase") != phase for line in lines):
        logger.warning("%s: carbon-action = fewer-epochs has no effect: %s", site.name, why)


def _wait(
    site: Site,
    hours: CarbonHours,
    now: float,
    phase: str,
    lines: Sequence[Mapping[str, Any]],
    asked: Metadata,
    request: Request,
) -> float:
    took = [line["seconds"] for line in lines if line.get("phase") == phase and "seconds" in line]
    if not took:
        # Nothing tells how long it takes.
        return 0.0
    delayed = sum(line.get("carbon", {}).get("delayed_seconds", 0.0) for line in lines)
    longest = max(took)
    if site.simulated:
        # On one machine, and perhaps one after another.
        longest *= request.values.get("sum", {}).get("n_sites", 1)
    deadline = min(site.config.deadline_of(phase), asked.ttl)
    latest = min(
        latest_start(asked.created_at, now, deadline, longest),
        now + site.node.carbon_max_delay - delayed,
    )
    return seconds_to_wait(hours, now, latest, median(took), site.node.carbon_limit)

"""What is to say of a site's file of hours before a run."""

from statistics import median

from common.carbon_file import moment, read_carbon_hours
from common.data.check import Finding
from common.data.wording import what_and_fix
from common.errors import InputError


def check_carbon_file(path: str, now: float) -> Finding:
    """What it tells of, or its first fault; not to tell of ``now`` is one."""
    try:
        hours = read_carbon_hours(path)
        hours.require_now(now)
    except InputError as error:
        return Finding("error", *what_and_fix(str(error)))
    return Finding(
        "ok",
        f"carbon-file: {hours.kind} of {len(hours.values):,} hours from {moment(hours.first)} to "
        f"{moment(hours.end)}, {min(hours.values):g} to {max(hours.values):g}, median "
        f"{median(hours.values):g}; now {hours.mean(now, now):g}",
    )

"""When a site's work is done with less carbon, and whether it is worth waiting for."""

from collections.abc import Sequence
from statistics import median

from common.carbon_file import G_PER_KWH, HOUR, CarbonHours

# Of the hour's intensity, or of its share that is not renewable: less is not worth a wait.
LEAST_SAVING = 0.1
# A message may take so many times the longest one before it, and a share of the deadline is left.
LONGEST_TIMES, DEADLINE_SHARE = 2.0, 0.1


def is_dirty(hours: CarbonHours, now: float, limit: float) -> bool:
    """Whether the hour of ``now``, which the file has, is worse than a limit; 0 is its median."""
    limit = limit or median(hours.values)
    value = hours.mean(now, now)
    return value > limit if hours.kind == G_PER_KWH else value < limit


def latest_start(sent: float, now: float, deadline: float, longest: float) -> float:
    """When a message has to be begun to be answered in time, Unix time.

    The reply is taken to travel as long as the message did, or as the two clocks differ.

    Parameters
    ----------
    sent, now
        When the message was made, by the coordinator's clock, and when it came, by the site's.
    deadline
        Seconds from the one until the reply must be there.
    longest
        Seconds that the longest message of the phase took so far.
    """
    travel = abs(now - sent)
    return sent + deadline * (1 - DEADLINE_SHARE) - LONGEST_TIMES * longest - travel


def seconds_to_wait(
    hours: CarbonHours, now: float, latest: float, seconds: float, limit: float
) -> float:
    """How long to wait before work of so many seconds; 0 where that is not worth it.

    Parameters
    ----------
    hours
        They cover ``now``.
    now, latest
        The earliest and the latest start, Unix times.
    seconds
        Of work.
    limit
        See :func:`is_dirty`.
    """
    latest = min(latest, hours.end - seconds)
    if latest <= now or not is_dirty(hours, now, limit):
        return 0.0
    burdens = {at: _burden(hours, at, seconds) for at in _starts(hours, now, latest, seconds)}
    least = min(burdens.values())
    if least > (1 - LEAST_SAVING) * burdens[now]:
        return 0.0
    # Of hours alike the first, whatever rounding says.
    return min(at for at, burden in burdens.items() if burden <= least + 1e-9) - now


def _burden(hours: CarbonHours, at: float, seconds: float) -> float:
    mean = hours.mean(at, at + seconds)
    return mean if hours.kind == G_PER_KWH else 1 - mean


def _starts(hours: CarbonHours, now: float, latest: float, seconds: float) -> Sequence[float]:
    """All that can be the best: the mean over the work is linear in its start between them."""
    first = int((now - hours.first) // HOUR)
    last = int((latest + seconds - hours.first) // HOUR)
    bounds = [hours.first + HOUR * number for number in range(first, last + 1)]
    starts = {now, latest, *bounds, *(bound - seconds for bound in bounds)}
    return [at for at in starts if now <= at <= latest]

"""When a round is worked on: the best start of all, worth its wait, and never past the deadline."""

from pathlib import Path

import numpy as np
import pytest

from common.carbon_file import CarbonHours
from common.carbon_schedule import LEAST_SAVING, is_dirty, latest_start, seconds_to_wait
from tests.carbon_files import HOUR

DAY = 1_774_656_000.0


def hours_of(values, kind="g_per_kwh"):
    return CarbonHours(Path("a.csv"), kind, DAY, tuple(values))


def burden(values, begin, seconds, kind):
    """Mean over whole seconds, by sampling each of them."""
    at = (begin + np.arange(seconds)) // HOUR
    mean = np.asarray(values)[at.astype(int)].mean()
    return mean if kind == "g_per_kwh" else 1 - mean


@pytest.mark.parametrize("kind", ["g_per_kwh", "renewable_share"])
@pytest.mark.parametrize("seed", range(40))
def test_no_other_minute_is_better(seed, kind):
    rng = np.random.default_rng(seed)
    values = rng.uniform(40, 800, 14) if kind == "g_per_kwh" else rng.uniform(0, 1, 14)
    values[rng.integers(14)] = values[rng.integers(14)]
    hours = hours_of(values, kind)
    now = int(rng.integers(0, 3 * HOUR))
    seconds = int(rng.choice([5, 600, 3600, 5000, 9000]))
    allowed = int(rng.integers(60, 8 * HOUR))
    # All hours count as dirty, so that the best start alone decides.
    limit = 1e-9 if kind == "g_per_kwh" else 1.0
    wait = seconds_to_wait(hours, DAY + now, DAY + now + allowed, seconds, limit)
    assert 0 <= wait <= allowed
    at_once = burden(values, now, seconds, kind)
    chosen = burden(values, now + round(wait), seconds, kind)
    others = [burden(values, now + m, seconds, kind) for m in range(0, allowed + 1, 60)]
    if wait:
        assert chosen <= min(others) * 1.001
        assert chosen <= (1 - LEAST_SAVING) * at_once * 1.001
    else:
        assert min(others) >= (1 - LEAST_SAVING) * at_once * 0.999


def test_of_hours_alike_the_first():
    wait = seconds_to_wait(hours_of([500, 100, 100, 100, 500, 500]), DAY, DAY + 4 * HOUR, 60, 0)
    assert wait == HOUR


def test_a_saving_too_small_is_not_waited_for():
    assert seconds_to_wait(hours_of([500, 455, 455]), DAY, DAY + HOUR, 60, 1) == 0
    assert seconds_to_wait(hours_of([500, 445, 445]), DAY, DAY + HOUR, 60, 1) == HOUR


def test_hours_that_are_clean_enough_are_not_waited_for():
    hours = hours_of([300, 100, 100])
    assert seconds_to_wait(hours, DAY, DAY + HOUR, 60, 301) == 0
    assert seconds_to_wait(hours, DAY, DAY + HOUR, 60, 299) == HOUR
    # The median without a limit.
    assert seconds_to_wait(hours_of([300, 400, 500, 100]), DAY, DAY + 3 * HOUR, 60, 0) == 0


def test_no_time_no_wait():
    hours = hours_of([500, 100, 100])
    assert seconds_to_wait(hours, DAY, DAY - 5, 60, 0) == 0
    assert seconds_to_wait(hours, DAY, DAY + HOUR - 61, 60, 0) == 0


def test_not_past_the_end_of_the_file():
    hours = hours_of([500, 400, 100])
    wait = seconds_to_wait(hours, DAY, DAY + 9 * HOUR, 1800, 0)
    assert wait == 2 * HOUR
    # Work of two hours does not fit into the last hour alone.
    assert seconds_to_wait(hours, DAY, DAY + 9 * HOUR, 2 * HOUR, 0) == HOUR
    assert seconds_to_wait(hours, DAY, DAY + 9 * HOUR, 4 * HOUR, 0) == 0


def test_dirty_by_kind():
    grams, shares = hours_of([100, 300, 500]), hours_of([0.2, 0.4, 0.9], "renewable_share")
    assert [is_dirty(grams, DAY + HOUR * h, 0) for h in range(3)] == [False, False, True]
    assert [is_dirty(grams, DAY + HOUR * h, 200) for h in range(3)] == [False, True, True]
    assert [is_dirty(shares, DAY + HOUR * h, 0) for h in range(3)] == [True, False, False]
    assert [is_dirty(shares, DAY + HOUR * h, 0.5) for h in range(3)] == [True, True, False]


@pytest.mark.parametrize("ahead", [0.0, -900.0, 900.0])
def test_the_reply_is_there_before_the_deadline(ahead):
    """Whatever the site's clock says beside the coordinator's, and if work takes twice as long."""
    deadline, travel, longest = 3600.0, 20.0, 100.0
    came = DAY + travel + ahead
    wait = latest_start(DAY, came, deadline, longest) - came
    assert 0 < travel + wait + 2 * longest + travel <= deadline

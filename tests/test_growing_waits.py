"""A node asks often during a run, and seldom when there is none."""

import time

import pytest

from client.node import growing_waits
from client.node.growing_waits import GrowingWaits


class Clock:
    def __init__(self):
        self.now, self.slept = 0.0, []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(growing_waits, "time", made)
    return made


def test_short_after_a_message_and_long_after_none(clock):
    waits = GrowingWaits(0.1, 1.0)
    for _ in range(200):
        waits.sleep(3)
    assert clock.slept[0] == 0.1
    assert clock.slept[-1] == 1.0
    assert clock.slept == sorted(clock.slept)
    # An answer is seen at most a twentieth later than it could be, or the shortest sleep.
    waits.something_came()
    waits.sleep(3)
    assert clock.slept[-1] == 0.1


def test_never_longer_than_flowers_own(clock):
    waits = GrowingWaits(0.1, 1.0)
    clock.now = 60.0
    waits.sleep(0.5)
    assert clock.slept == [0.5]


def test_everything_else_is_the_modules_own():
    assert GrowingWaits(0.1, 1.0).monotonic is time.monotonic

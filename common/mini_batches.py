"""Which cells make which step of local training, and from what a step may draw."""

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch


class Passes(Protocol):
    """What a training says of its passes over the cells."""

    local_epochs: int
    batch_size: int
    reshuffle: bool


def epochs(
    rows: np.ndarray, training: Passes, *, seed: int, round_: int
) -> Iterator[list[np.ndarray]]:
    """The mini-batches of each epoch of a round, by ``seed`` and ``round_`` alone.

    Every cell is in one mini-batch of an epoch: they have ``batch_size`` cells or evenly a little
    fewer; one has a cell more where another would have a single one.

    Parameters
    ----------
    rows
        Training cells, at least 1.
    training
        With ``reshuffle`` there are new mini-batches every epoch and round, else the same always.
    """
    order = np.random.default_rng([seed, round_ if training.reshuffle else 0])
    n_batches = max(1, min(math.ceil(len(rows) / training.batch_size), len(rows) // 2))
    permuted = order.permutation(rows)
    for epoch in range(training.local_epochs):
        if epoch and training.reshuffle:
            permuted = order.permutation(rows)
        yield np.array_split(permuted, n_batches)


def seed_at(site: str, seed: int) -> int:
    """A run's seed, made another at every site: 32 bits, the same for the same name.

    With one seed all sites would draw the same places, dropout and noise, which their mean would
    not even out as pooled cells do.
    """
    return int.from_bytes(hashlib.blake2b(f"{seed}/{site}".encode(), digest_size=4).digest())


@contextmanager
def seeded(device: torch.device, seed: int, round_: int) -> Iterator[torch.Generator]:
    """Seed what a round draws, and leave the process's own random state as it was.

    Yields
    ------
    noise
        A generator on the CPU for what is drawn besides dropout.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed + 7919 * round_)
        yield torch.Generator().manual_seed(seed + 7919 * round_ + 1)

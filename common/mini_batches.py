"""Which cells make which step of local training, and from what a step may draw.

What ``common/training.py`` does for the networks of correction, to the cell and to the bit.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def epochs(
    rows: np.ndarray,
    *,
    batch_size: int,
    local_epochs: int,
    reshuffle: bool,
    seed: int,
    round_: int,
) -> Iterator[list[np.ndarray]]:
    """The mini-batches of each epoch of a round, by ``seed`` and ``round_`` alone.

    Every cell is in one mini-batch of an epoch: they have ``batch_size`` cells or evenly a little
    fewer; one has a cell more where another would have a single one.

    Parameters
    ----------
    rows
        Training cells, at least 1.
    reshuffle
        Draw new ones every epoch and round, else the same ones always.
    """
    order = np.random.default_rng([seed, round_ if reshuffle else 0])
    n_batches = max(1, min(math.ceil(len(rows) / batch_size), len(rows) // 2))
    permuted = order.permutation(rows)
    for epoch in range(local_epochs):
        if epoch and reshuffle:
            permuted = order.permutation(rows)
        yield np.array_split(permuted, n_batches)


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

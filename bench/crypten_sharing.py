"""CrypTen's own sharing of the same sum, by its own generators, in real processes over gloo."""

import importlib
import multiprocessing
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np


def _party(rank: int, n_sites: int, n_values: int, repeats: int, meeting: str, times) -> None:
    os.environ.update(
        WORLD_SIZE=str(n_sites),
        RANK=str(rank),
        RENDEZVOUS=meeting,
        DISTRIBUTED_BACKEND="gloo",
        OMP_NUM_THREADS="1",
    )
    import torch

    torch.set_num_threads(1)
    # Makes CrypTen importable.
    importlib.import_module("common.secure.crypten")
    import crypten

    crypten.init()
    own = torch.from_numpy(np.random.default_rng(rank).normal(0, 0.1, n_values))
    nothing = torch.zeros_like(own)
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        total = None
        for source in range(n_sites):
            share = crypten.cryptensor(own if source == rank else nothing, src=source)
            total = share if total is None else total + share
        times.put((time.perf_counter() - wall, time.process_time() - processor))


def sharing_seconds(n_sites: int, n_values: int, repeats: int = 3) -> dict[str, float]:
    """Median seconds of one of ``n_sites`` processes that share a vector each and add the shares.

    ``processor`` counts the process's own work alone: the processes share few cores.
    """
    context = multiprocessing.get_context("spawn")
    times = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        meeting = f"file://{Path(folder) / 'meeting'}"
        arguments = (n_sites, n_values, repeats, meeting, times)
        parties = [
            context.Process(target=_party, args=(rank, *arguments)) for rank in range(n_sites)
        ]
        for party in parties:
            party.start()
        taken = [times.get(timeout=300) for _ in range(repeats * n_sites)]
        for party in parties:
            party.join()
    wall, processor = zip(*taken, strict=True)
    return {"wall": statistics.median(wall), "processor": statistics.median(processor)}

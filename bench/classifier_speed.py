"""What `actinn` takes to train: an epoch beside a bare PyTorch loop, and whole runs through Flower.

The bare loop trains the same network, by the same optimizer and mini-batches, on expression that it
holds dense in memory, as a tutorial would; ours makes each mini-batch dense from CSR on disk. The
two take turns in one process on one core. The runs are of five sites, one for each study, masked,
by Flower's simulation on all cores: from the files to the bundle and its scores.

`python -m bench.classifier_speed DATA_DIR`.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.report import keep
from bench.throughput import REPEATS, preprocessed
from cli.run import execute
from common.classification.plan import classifier_plan
from common.classification.training import OPTIMIZERS, fit_classifier, rate_at
from common.config import RunConfig
from common.data.reader import SiteFile
from common.data.split import split_file
from common.models.classifiers.build import build_classifier
from common.models.classifiers.class_balance import ClassBalance
from common.models.classifiers.classifier import Classifier
from common.models.classifiers.recipe import ClassifierTraining

DATASET = "pbmc_5study"
LEAST_RATIO = 0.9
MOST_SECONDS = 90
# How a run trains: steps of all sites as by default, or a pass over its cells at each site.
RUNS = {"fedsgd": {"rounds": 20}, "fedavg": {"rounds": 20}, "fedsgd, as it is": {"rounds": 0}}
RUN_REPEATS = 3


def bare_loop(
    model: Classifier, x_NG: torch.Tensor, y_N: torch.Tensor, training: ClassifierTraining
) -> None:
    """One epoch as in a PyTorch tutorial: permute, index, step."""
    model.train()
    optimizer = OPTIMIZERS[training.optimizer](model.parameters(), lr=rate_at(training, 1))
    balance = ClassBalance()
    for batch in torch.randperm(len(x_NG)).split(training.batch_size):
        loss = sum(model.losses(x_NG[batch], y_N[batch], balance, None).values())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def epochs(data_dir: Path) -> dict[str, Any]:
    """Cells per second of both loops, by the median of turns, and all seconds."""
    torch.set_num_threads(1)
    plan = classifier_plan(RunConfig(task="classify", classifier="actinn", strategy="fedavg"))
    training = replace(plan.training, local_epochs=1)
    path = data_dir / f"{DATASET}.h5ad"
    names, codes = np.unique(SiteFile.open(path).cell_types, return_inverse=True)
    seconds: dict[str, list[float]] = {"ours": [], "bare": []}
    with tempfile.TemporaryDirectory() as folder:
        matrix = preprocessed(path, 2000, Path(folder) / "csr")
        dense = matrix.scaled(slice(None)) if training.scaled else matrix.log(slice(None))
        x_NG, y_N = torch.as_tensor(dense), torch.from_numpy(codes)
        rows, cpu = np.arange(len(codes)), torch.device("cpu")
        how = {"round_": 1, "seed": 0, "device": cpu}
        loops: dict[str, Callable[[Classifier], object]] = {
            "ours": lambda model: fit_classifier(model, matrix, codes, rows, training, **how),
            "bare": partial(bare_loop, x_NG=x_NG, y_N=y_N, training=training),
        }
        # The first turn warms caches up.
        for repeat in range(REPEATS + 1):
            for kind in list(loops)[:: 1 if repeat % 2 else -1]:
                model = build_classifier(plan.name, plan.shape, matrix.shape[1], len(names), 0)
                start = time.perf_counter()
                loops[kind](model)
                seconds[kind].append(time.perf_counter() - start)
    speed = {kind: len(codes) / statistics.median(took[1:]) for kind, took in seconds.items()}
    ratio = statistics.median(np.divide(seconds["bare"][1:], seconds["ours"][1:]).tolist())
    about = {"cells": len(codes), "batch_size": training.batch_size}
    return {**about, "cells_per_second": speed, "ratio": ratio, "seconds": seconds}


def runs(data_dir: Path) -> dict[str, list[float]]:
    """Seconds of whole runs through Flower, by how they train."""
    seconds: dict[str, list[float]] = {name: [] for name in RUNS}
    with tempfile.TemporaryDirectory() as folder:
        sites = Path(folder) / "sites"
        split_file(data_dir / f"{DATASET}.h5ad", "batch", sites)
        for repeat in range(RUN_REPEATS):
            for name, settings in RUNS.items():
                start = time.perf_counter()
                execute(
                    {
                        "task": "classify",
                        "classifier": "actinn",
                        "data": str(sites),
                        "strategy": name.partition(",")[0],
                        **settings,
                    },
                    Path(folder) / f"{name}-{repeat}",
                )
                seconds[name].append(round(time.perf_counter() - start, 1))
                print(name, seconds[name][-1], flush=True)
    return seconds


def main(data_dir: Path) -> None:
    whole = runs(data_dir)
    epoch = epochs(data_dir)
    speed = epoch["cells_per_second"]
    claims = {
        f"actinn: {speed['ours']:,.0f} cells/s, bare loop {speed['bare']:,.0f}, "
        f"ratio {epoch['ratio']:.2f} (at least {LEAST_RATIO})": epoch["ratio"] >= LEAST_RATIO
    }
    for name in ("fedsgd", "fedavg"):
        claims[
            f"actinn, {name}, 20 rounds of 5 sites: {statistics.median(whole[name]):.0f} s "
            f"(under {MOST_SECONDS})"
        ] = statistics.median(whole[name]) < MOST_SECONDS
    keep("classifier_speed", {"data": DATASET, "epochs": epoch, "runs": whole, "claims": claims})


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())

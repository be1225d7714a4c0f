"""Federated correction beside its peers on real data, over seeds, and with labels held out.

Uncorrected, Harmony, scGen, the FedscGen preset, the product on one site with all cells ("pooled":
the same network and updates), the same by mini-batches, and over the sites ("ours"), all on the
same cells, genes and scaling, scored on 20 principal components (Harmony: its embedding). Block
``labelled`` has every label. In block ``held_out`` 20 % of the cells at each site enter without
one, and only these are scored, by their true labels: a method that uses labels gives such a cell
that of its nearest labelled cells of its batch in the uncorrected latents (scGen and the control:
in the principal components).

`python -m bench.correction DATA_DIR [--datasets A,B] [--methods A,B] [--seeds 0,1,2,3,4]
[--blocks labelled,held_out]`; results are kept in bench/.kept, and a stopped run goes on. The whole
writes bench/results/correction.json, a part correction_part.json beside it.
"""

import argparse
import functools
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.cells import HELD_OUT, N_TOP_GENES, Cells
from bench.correction_claims import claims_of
from bench.correction_scores import HELD_OUT as HELD_OUT_SCORES
from bench.correction_scores import batch_effect, held_out_scores, scores
from bench.correction_tables import effects, table, value
from bench.corrections import METHODS, N_PCS, RUN, Corrected, Method, Task
from bench.kept import code_digest, digest, kept_arrays, kept_values
from bench.report import keep
from common.config import RunConfig
from common.metrics.registry import METRICS
from common.presets import PRESETS
from report.evaluation import principal_components

# Every single-cell set, and the column whose values are its sites.
DATASETS = {
    "pancreas_human_3study_mini": "batch",
    "cellline_mixology_5batch": "batch",
    "pbmc_5study": "batch",
    "mesc_2batch": "batch",
    "brain_oligo_6region": "batch",
    "pbmc_kang_8donor": "batch",
    "pbmc_onek1k_40donor": "site8",
}
BLOCKS = ("labelled", "held_out")
# A batch effect is real where batches mix less than this share of what they would without one.
REAL = 0.9
ENOUGH_SEEDS = 5

PREPARED = (
    "bench/cells.py",
    "common/nearest_labels.py",
    *(
        f"common/data/{name}.py"
        for name in ("counts", "genes", "hvg", "matrix", "moments", "normalise", "obs", "stream")
    ),
)
SCORED = ("bench/correction_scores.py", "common/metrics/*.py", "report/evaluation.py")
# Of the product, what decides a corrected matrix: not how messages travel or runs are told of.
PRODUCT = (
    *(
        f"common/{name}.py"
        for name in (
            "alignment",
            "coding",
            "correction",
            "decoder_refit",
            "gradient",
            "mini_batches",
            "nearest_labels",
            "panel",
            "presets",
            "principal_axes",
            "proximal",
            "reference",
            "shift_labels",
            "smoothing",
            "training",
        )
    ),
    "common/data/held_out.py",
    "common/data/labels.py",
    "common/data/random_parts.py",
    "common/models/*.py",
    "client/latents.py",
    "client/model.py",
    "client/phases/*.py",
    "server/rounds.py",
    "server/workflows/correct.py",
    "strategies/*.py",
)
PEERS = (
    "bench/corrections.py",
    "bench/scgen/run.py",
    "bench/scgen/requirements.txt",
    "bench/harmony/run.py",
    "bench/environments.py",
)
# Settings that change a corrected matrix, whatever else a version may have.
DECIDING = ("n-top-genes", "gene-join", "min-reference-cells", "strategy", "ring-bits")

# What a process runs is what it read when it started.
code_of = functools.cache(code_digest)


@dataclass(frozen=True)
class Result:
    """One matrix of one task: its principal components, or Harmony's embedding."""

    name: str
    embedding: np.ndarray
    key: str
    about: dict[str, Any]


def results_of(cells: Cells, name: str, block: str, seed: int) -> list[Result]:
    """The matrices of a method on a task, from disk where they are kept."""
    method = METHODS[name]
    if not method.labels:
        block = "labelled"
    if not method.seeded and block == "labelled":
        seed = 0
    key = digest([_decides(cells, name, method), block, seed])
    task = Task.of(cells, block, seed)

    def make() -> Corrected:
        start = time.perf_counter()
        found, about = method.run(task)
        about["seconds"] = round(time.perf_counter() - start, 1)
        small = {n: principal_components(x, N_PCS, 0).astype(np.float32) for n, x in found.items()}
        print(f"  {block} {name} seed {seed}: {about['seconds']} s", flush=True)
        return small, about

    arrays, about = kept_arrays(key, make)
    return [
        Result(f"{name} {output}".strip(), x.astype(np.float64), f"{key}-{output}", about)
        for output, x in arrays.items()
    ]


def _decides(cells: Cells, name: str, method: Method) -> dict[str, Any]:
    decides: dict[str, Any] = {
        "cells": [cells.digest, cells.site_key],
        "method": [name, method.settings],
        "prepared": code_of(PREPARED),
    }
    if preset := method.settings.get("preset"):
        flat = RunConfig().flat()
        decides["product"] = [
            repr(PRESETS[preset]),
            RUN,
            {key: flat[key] for key in DECIDING},
            code_of(PRODUCT),
        ]
    else:
        decides["peers"] = code_of(PEERS)
    return decides


def figures_of(
    cells: Cells, methods: Iterable[str], seeds: list[int], block: str
) -> tuple[dict[str, dict[str, list]], dict[str, list]]:
    """Scores by matrix and metric, a value per seed; and what is told of each method's runs.

    A method without a seed has one value where all labels are known. Where some are held out it has
    one per seed, which draws them.
    """
    figures: dict[str, dict[str, list]] = {}
    told: dict[str, list] = {}
    scored = code_of(SCORED)
    for name in methods:
        once = block == "labelled" and not METHODS[name].seeded
        for seed in seeds[:1] if once else seeds:
            hidden = Task.of(cells, block, seed).hidden
            (before,) = results_of(cells, "uncorrected", "labelled", 0)
            for result in results_of(cells, name, block, seed):
                key = digest([result.key, block, seed if hidden.any() else 0, scored])

                def make(result=result, hidden=hidden, before=before) -> dict[str, Any]:
                    if not hidden.any():
                        return scores(result.embedding, cells)
                    return held_out_scores(result.embedding, before.embedding, cells, hidden)

                for metric, score in kept_values(key, make).items():
                    figures.setdefault(result.name, {}).setdefault(metric, []).append(score)
            told.setdefault(name, []).append(result.about)
    return figures, told


def measure(cells: Cells, methods: list[str], seeds: list[int], blocks: list[str]) -> dict:
    """One dataset's figures, printed as tables as they come."""
    found: dict[str, Any] = {
        "n_cells": len(cells.cell),
        "n_genes": cells.x.shape[1],
        "n_batches": len(set(cells.batch)),
        "n_sites": len(set(cells.site)),
        "blocks": {},
        "runs": {},
    }
    for block in blocks:
        figures, told = figures_of(cells, methods, seeds, block)
        found["blocks"][block], found["runs"][block] = figures, told
        print(f"\n{cells.name}, {block}:\n{table(figures)}\n", flush=True)
    if control := found["runs"].get("held_out", {}).get("collapse"):
        found["labels_right"] = [about["labels_right"] for about in control]
        print(f"held-out cells with the right label: {value(found['labels_right'])}\n")
    return found


def main(
    data_dir: Path, datasets: list[str], methods: list[str], seeds: list[int], blocks: list[str]
) -> None:
    better = {name: METRICS.get(name).better for name in METRICS.names()}
    measured, figures, claims = {}, {}, {}
    start = time.perf_counter()
    for name in datasets:
        cells = Cells.read(data_dir / f"{name}.h5ad", DATASETS[name])
        key = digest([cells.digest, "batch effect", code_of((*PREPARED, *SCORED))])
        effect = kept_values(key, lambda cells=cells: batch_effect(cells))
        measured[name] = {**effect, "real": effect["share"] < REAL}
        if not measured[name]["real"]:
            continue
        figures[name] = measure(cells, methods, seeds, blocks)
        claims |= claims_of(name, figures[name]["blocks"], better)
    print(effects(measured))
    results = {
        "seeds": seeds,
        "settings": {
            "n_top_genes": N_TOP_GENES,
            "embedding": f"{N_PCS} principal components of each matrix; Harmony's own embedding",
            "held_out": HELD_OUT,
            "held_out_scores": HELD_OUT_SCORES,
            "runs": RUN,
            "real_batch_effect": f"mixing below {REAL} of that of batches drawn anew within types",
            "methods": {name: METHODS[name].settings for name in methods},
        },
        "batch_effect": measured,
        "datasets": figures,
        "minutes": round((time.perf_counter() - start) / 60, 1),
        "claims": claims,
    }
    whole = [list(DATASETS), list(METHODS), list(BLOCKS)] == [datasets, methods, blocks]
    # The whole benchmark's figures stay when a part is measured again.
    keep("correction" if whole and len(seeds) >= ENOUGH_SEEDS else "correction_part", results)


def _list_of(known: Iterable[str]):
    known = list(known)

    def parse(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",") if name.strip()]
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return names

    return parse


def _seeds(text: str) -> list[int]:
    return [int(seed) for seed in text.split(",")]


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.correction")
    parser.add_argument("data_dir", type=lambda text: Path(text).absolute())
    for name, known in (("datasets", DATASETS), ("methods", METHODS), ("blocks", BLOCKS)):
        parser.add_argument(
            f"--{name}", type=_list_of(known), default=list(known), help=", ".join(known)
        )
    parser.add_argument("--seeds", type=_seeds, default=[0, 1, 2, 3, 4], help="as 0,1,2")
    return parser.parse_args(given)


if __name__ == "__main__":
    asked = arguments()
    main(asked.data_dir, asked.datasets, asked.methods, asked.seeds, asked.blocks)

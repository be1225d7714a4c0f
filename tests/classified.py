"""Runs of ``classify`` over small sites, and the same training on the pooled cells."""

from pathlib import Path
from typing import Any

import anndata
import numpy as np
from scipy import sparse

from common.classification.plan import ClassifierPlan, classifier_plan
from common.classification.published import PublishedClassifier
from common.config import RunConfig
from common.data.matrix import ExpressionMatrix
from common.data.normalise import library_sizes, log1p_cp10k
from common.data.stratified import stratified_parts
from tests.in_process import run_in_process
from tests.small_sites import run_json, site

SMALL = {"task": "classify", "n_top_genes": 40}


def labelled_sites() -> list[anndata.AnnData]:
    """Unequal, skewed sites: A and B everywhere, C at two sites, D at one alone."""
    return [
        site({("p", "A"): 60, ("p", "B"): 40, ("p", "C"): 30}, seed=1),
        site({("q", "A"): 20, ("q", "B"): 90, ("r", "D"): 15}, seed=2),
        site({("s", "A"): 35, ("s", "B"): 21, ("s", "C"): 12}, seed=3),
    ]


def classify(out: Path, data: Path, n_sites: int, **settings: Any) -> dict[str, Any]:
    """A run of ``classify`` over the sites in ``data``; returns its ``run.json``."""
    tamper = settings.pop("tamper", lambda reply: reply)
    values = {**SMALL, "n-sites": n_sites, "data": str(data), **settings}
    run_in_process(out, n_sites, tamper=tamper, **values)
    return run_json(out)


def plan_of(**settings: Any) -> tuple[RunConfig, ClassifierPlan]:
    """The settings of a small run and its plan."""
    values = {key.replace("_", "-"): value for key, value in {**SMALL, **settings}.items()}
    config = RunConfig.parse(values, where="test")
    return config, classifier_plan(config)


class PooledCells:
    """All sites' cells in a row, preprocessed as a published classifier says.

    Parameters
    ----------
    sites
        Their files, in the order of the run's sites.
    published
        Whose genes, scaling and classes are taken.
    config
        Shares and seed of the run.
    """

    def __init__(
        self, sites: list[anndata.AnnData], published: PublishedClassifier, config: RunConfig
    ):
        panel, vocabulary = published.panel, published.vocabulary
        chosen = [sites[0].var_names.get_loc(gene) for gene in panel.genes]
        log = [log1p_cp10k(s.X.tocsr()[:, chosen], library_sizes(s.X.tocsr())) for s in sites]
        self.matrix = ExpressionMatrix(sparse.vstack(log).tocsr(), panel.scaling())
        classes = {name: number for number, name in enumerate(vocabulary.classes)}
        classes |= dict.fromkeys(vocabulary.merged, len(vocabulary.classes) - 1)
        classes |= dict.fromkeys(vocabulary.left_out, -2)
        labels = [s.obs["cell_type"].astype(str).to_numpy(dtype=object) for s in sites]
        self.y = np.array([classes[name] for own in labels for name in own])
        parts, start = {"train": [], "validation": [], "test": []}, 0
        for own in labels:
            shares = {"validation": config.validation_share, "test": config.test_share}
            found = stratified_parts(own, seed=config.seed, **shares)
            for name, rows in parts.items():
                rows.append(start + getattr(found, name))
            start += len(own)
        self.train, self.validation, self.test = (np.concatenate(rows) for rows in parts.values())
        self.train = self.train[self.y[self.train] >= 0]

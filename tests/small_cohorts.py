"""Small cohorts of log values, and runs of ``synthesize`` over them."""

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd

import tests.tiny_generator  # noqa: F401  enters the table
from common.config import RunConfig
from common.synthesis.of_run import generator_of, schema_of
from common.synthesis.pooled import fit_pooled
from common.synthesis.published import PublishedCohort
from common.synthesis.records import Records
from tests.in_process import run_in_process
from tests.small_sites import run_json, write_sites

GENES = [f"G{i}" for i in range(8)]
TINY = {"task": "synthesize", "generator": "tiny", "epsilon": 2.0}
OFF = {"noise": "off", "epsilon": 0.0}


def cohort(n: dict[str, int], seed: int = 0, n_donors: int = 5) -> anndata.AnnData:
    """Records of each class about its own profile, float32, within 0 ... 12."""
    rng = np.random.default_rng([11, seed])
    labels = np.repeat(list(n), list(n.values()))
    profiles = {name: np.random.default_rng(ord(name[0])).uniform(3, 9, len(GENES)) for name in n}
    values = np.stack([profiles[name] for name in labels]) + rng.normal(0, 1, (len(labels), 8))
    obs = pd.DataFrame(
        {
            "cell_type": labels,
            "donor": [f"site{seed}-d{i % n_donors}" for i in range(len(labels))],
            "sex": rng.choice(["f", "m"], len(labels)),
        },
        index=[f"r{seed}-{i}" for i in range(len(labels))],
    )
    order = rng.permutation(len(labels))
    x = np.clip(values, 0, 12).astype(np.float32)[order]
    return anndata.AnnData(x, obs=obs.iloc[order], var=pd.DataFrame(index=GENES))


def cohorts(n_sites: int) -> list[anndata.AnnData]:
    """Unequal sites; A and B everywhere."""
    return [cohort({"A": 10 + 3 * s, "B": 25 - 2 * s}, seed=s) for s in range(n_sites)]


def synthesize(out: Path, sites: list[anndata.AnnData] | Path, **settings: Any) -> dict[str, Any]:
    """A run over simulated sites; returns its ``run.json``."""
    n_sites = settings.pop("n", None) or len(sites)
    data = sites if isinstance(sites, Path) else write_sites(out.parent / f"{out.name}-data", sites)
    values = {**TINY, "n-sites": n_sites, "data": str(data), **settings}
    run_in_process(out, n_sites, **values)
    return run_json(out)


def config_of(**settings: Any) -> RunConfig:
    """A run's settings."""
    values = {key.replace("_", "-"): value for key, value in {**TINY, **settings}.items()}
    return RunConfig.parse(values, where="test")


def records_of(data: anndata.AnnData, config: RunConfig, classes: list[str]) -> Records:
    """A site's records as whole units, made here without the code of the sites."""
    codes = np.array([classes.index(name) for name in data.obs["cell_type"].astype(str)])
    order = [data.var_names.get_loc(gene) for gene in sorted(data.var_names)]
    values = np.asarray(data.X, dtype=np.float64)[:, order]
    units = np.arange(len(codes))
    if config.privacy_unit == "donor":
        units = pd.factorize(data.obs["donor"].astype(str), sort=True)[0]
    return Records(np.clip(values, config.value_low, config.value_high), codes, units)


def pooled_state(sites: list[anndata.AnnData], classes: list[str], **settings: Any):
    """What one place with all records fits."""
    config = config_of(**settings)
    schema = schema_of(config, sorted(sites[0].var_names), classes)
    chunks = [records_of(data, config, classes) for data in sites]
    return fit_pooled(generator_of(config, schema), chunks)


def published_state(out: Path) -> dict[str, np.ndarray]:
    """The state in a run's bundle."""
    return PublishedCohort.load(out / "bundle").state

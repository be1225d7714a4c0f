"""One simulated site: its cells, its effects on genes, and its counts, block by block."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from common.data.pbmc_profiles import pbmc_profiles
from common.data.simulation_plan import SimulationPlan
from common.errors import ConfigError

# One generator per block: what is drawn depends neither on threads nor on the size of a chunk.
_BLOCK = 256
_BLOCKS_PER_CHUNK = 40
_FEWEST = 3
# The 765 genes are 2 % of all genes but carry a fifth of a cell's counts.
_ADDED_EXPRESSION = 0.25
_GENE_JITTER, _TYPE_JITTER = 0.5, 0.1
_GENES, _ABSENT, _EFFECTS, _COMPOSITION, _CELLS, _COUNTS = range(6)


@dataclass(frozen=True)
class SimulatedSite:
    """One site before its counts.

    Parameters
    ----------
    profiles
        ``(n_genes, n_types)`` expected counts at library factor 1, before any effect.
    dispersions, site_effect
        ``(n_genes,)``; effects are natural logs.
    batch_effects, type_effects
        ``(n_genes, n_batches)``, ``(n_genes, n_types)``.
    type_codes, batch_codes, library_factor
        ``(n_cells,)``.
    """

    genes: tuple[str, ...]
    cell_types: tuple[str, ...]
    batches: tuple[str, ...]
    profiles: np.ndarray
    dispersions: np.ndarray
    site_effect: np.ndarray
    batch_effects: np.ndarray
    type_effects: np.ndarray
    type_codes: np.ndarray
    batch_codes: np.ndarray
    library_factor: np.ndarray


def draw_site(plan: SimulationPlan, index: int) -> SimulatedSite:
    """All of a site but its counts.

    Raises
    ------
    ConfigError
        The plan has no such site.
    """
    if not 0 <= index < plan.n_sites:
        raise ConfigError(
            f"site index {index}: the plan has n_sites = {plan.n_sites}, so give 0 to "
            f"{plan.n_sites - 1}."
        )
    real = pbmc_profiles()
    n_cells, n_types = int(plan.site_sizes[index]), len(real.cell_types)
    genes, profiles, dispersions, columns = _genes(plan)
    batches = _batches(plan, index)

    rng = _generator(plan, _EFFECTS, index)
    depth = np.exp(plan.depth_sigma * rng.standard_normal())
    # By gene first: a plan with fewer genes has the same effects on them.
    normal = rng.standard_normal((max(columns) + 1, 1 + 2 + n_types))[columns]
    scales = np.repeat([1, plan.batch_ratio, plan.type_ratio], [1, 2, n_types]) * plan.site_sigma
    if len(batches) == 1:
        scales[1:3] = 0
    # Shifted so that an effect's mean factor is 1.
    effects = normal * scales - scales**2 / 2

    rng = _generator(plan, _CELLS, index)
    type_codes = rng.permutation(np.repeat(np.arange(n_types), _type_sizes(plan, index)))
    first_share = 0.6 if len(batches) == 2 else 1.0
    return SimulatedSite(
        genes=genes,
        cell_types=real.cell_types,
        batches=batches,
        profiles=profiles,
        dispersions=dispersions,
        site_effect=effects[:, 0],
        batch_effects=effects[:, 1 : 1 + len(batches)],
        type_effects=effects[:, 3:],
        type_codes=type_codes,
        batch_codes=(rng.random(n_cells) >= first_share).astype(np.int64),
        library_factor=depth * np.exp(real.log_library_sd * rng.standard_normal(n_cells)),
    )


def _genes(plan: SimulationPlan) -> tuple[tuple[str, ...], np.ndarray, np.ndarray, np.ndarray]:
    """Names, profiles ``(n_genes, n_types)``, dispersions, and each gene's fixed number."""
    real = pbmc_profiles()
    n_real = len(real.genes)
    n_genes = plan.n_genes or n_real
    profiles = real.means.T * (plan.median_counts / real.median_counts)
    if n_genes <= n_real:
        by_expression = np.argsort(-(real.proportions @ real.means), kind="stable")
        kept = np.sort(by_expression[:n_genes])
        names = tuple(real.genes[column] for column in kept)
        return names, profiles[kept], real.dispersions[kept], kept
    n_added = n_genes - n_real
    source = _generator(plan, _GENES, 0).integers(n_real, size=n_added)
    normal = _generator(plan, _GENES, 1).standard_normal((n_added, 1 + profiles.shape[1]))
    jitter = _GENE_JITTER * normal[:, :1] + _TYPE_JITTER * normal[:, 1:]
    added = profiles[source] * np.exp(jitter) * _ADDED_EXPRESSION
    names = (*real.genes, *(f"SIM{number:05d}" for number in range(1, n_added + 1)))
    dispersions = np.concatenate([real.dispersions, real.dispersions[source]])
    return names, np.vstack([profiles, added]), dispersions, np.arange(n_genes)


def _batches(plan: SimulationPlan, index: int) -> tuple[str, ...]:
    """Two at hospital-2, -5, -8, ..., and at the only site of a plan."""
    if index % 3 == 1 or plan.n_sites == 1:
        return f"{site_name(index)}/run-a", f"{site_name(index)}/run-b"
    return (site_name(index),)


def _absent(plan: SimulationPlan, index: int) -> int | None:
    """The type that the site lacks: one, by turns, at hospital-2, -4, ...; none elsewhere."""
    order = _generator(plan, _ABSENT).permutation(len(pbmc_profiles().cell_types))
    return int(order[index // 2 % len(order)]) if index % 2 else None


def _type_sizes(plan: SimulationPlan, index: int) -> np.ndarray:
    """``(n_types,)`` cells of each type: Dirichlet-multinomial, 3 at least of a type it has."""
    rng = _generator(plan, _COMPOSITION, index)
    proportions = pbmc_profiles().proportions
    present = np.arange(len(proportions)) != _absent(plan, index)
    shares = rng.dirichlet(plan.concentration * proportions[present])
    drawn = rng.multinomial(plan.site_sizes[index], shares)
    lacking = (_FEWEST - drawn).clip(0)
    drawn += lacking
    drawn[drawn.argmax()] -= lacking.sum()
    sizes = np.zeros(len(proportions), dtype=np.int64)
    sizes[present] = drawn
    return sizes


def draw_counts(
    plan: SimulationPlan, index: int, site: SimulatedSite
) -> Iterator[sparse.csr_matrix]:
    """The counts, CSR float32, ``(<= 10,240, n_genes)`` at a time."""
    n_cells, n_batches = len(site.type_codes), len(site.batches)
    shift = site.site_effect + site.batch_effects.T
    by_type = (np.log(site.profiles) + site.type_effects).T
    means = np.exp(by_type[:, None] + shift[None]).reshape(-1, len(site.genes)).astype(np.float32)
    group = site.type_codes * n_batches + site.batch_codes
    factor = site.library_factor.astype(np.float32)
    shape = (1 / site.dispersions).astype(np.float32)

    def block(number: int) -> sparse.csr_matrix:
        rows = slice(number * _BLOCK, min((number + 1) * _BLOCK, n_cells))
        rng = _generator(plan, _COUNTS, index, number)
        rate = rng.standard_gamma(shape, (rows.stop - rows.start, len(shape)), dtype=np.float32)
        rate *= means[group[rows]]
        rate *= factor[rows, None] / shape
        return sparse.csr_matrix(rng.poisson(rate).astype(np.float32))

    blocks = range(-(-n_cells // _BLOCK))
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for first in range(0, len(blocks), _BLOCKS_PER_CHUNK):
            chunk = pool.map(block, blocks[first : first + _BLOCKS_PER_CHUNK])
            yield sparse.vstack(list(chunk), format="csr")


def site_name(index: int) -> str:
    """``hospital-1`` for index 0."""
    return f"hospital-{index + 1}"


def _generator(plan: SimulationPlan, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(plan.seed, spawn_key=key))

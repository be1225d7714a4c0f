"""Every field that may leave a site, phase by phase, and whether it is public or masked.

A site sends nothing that is not declared here: :class:`client.outbox.Outbox` checks each field
against this table and writes it to the site's own log. *Masked* fields reach the coordinator only
as sums over sites, through the secure sum. *Public* fields are public by design: names, versions,
and the keys and key shares of the secure sum, never a number computed from cells. *Shares* are
random words that mean nothing before all sites' are added.
"""

from dataclasses import dataclass

from common.errors import WireError
from common.registry import did_you_mean
from common.secure.narrow import NarrowPoint
from common.secure.ring import FixedPoint

MAX_CELLS = 2.0**24
MAX_LOG1P = 10.0
MAX_CP10K = 1e4
MAX_SCALED = 10.0
# Of log1p CP10k, summed over a site's batches.
MAX_REMAINDER = 2.0**16
# Of a site's part of a mean, and of sums over batches of standardised features.
MEAN = 2.0**24
THERMOMETER_BASE = 1024

NumberFormat = FixedPoint | NarrowPoint


@dataclass(frozen=True)
class Public:
    """A field every participant may see; JSON-serialisable."""

    meaning: str


@dataclass(frozen=True)
class Masked:
    """A field that is only ever seen summed over sites.

    Parameters
    ----------
    meaning
        What one site contributes.
    shape
        In words: ``"genes"``, ``"types x latent"``, ``""`` for one number.
    bound
        Largest magnitude of any one value.
    integer, wide
        See :class:`common.secure.ring.FixedPoint`.
    ring
        The values are ring elements already (uint64) and are summed as they are.
    narrow_bound
        If not 0, the field travels in 32 bits a value where the run says ``ring-bits = 32``, and
        this is its bound there; see :class:`common.secure.narrow.NarrowPoint`.
    """

    meaning: str
    shape: str
    bound: float = MAX_CELLS
    integer: bool = False
    wide: bool = False
    ring: bool = False
    narrow_bound: float = 0.0

    def fixed_point(self, n_sites: int, ring_bits: int = 64) -> NumberFormat:
        """The number format for a sum over at most ``n_sites`` sites.

        Raises
        ------
        WireError
            ``ring_bits`` is neither 64 nor 32.
        """
        if ring_bits not in (64, 32):
            raise WireError(f"ring-bits = {ring_bits!r}: a sum has 64 or 32; use the same version")
        if ring_bits == 32 and self.narrow_bound:
            return NarrowPoint(self.narrow_bound, n_sites)
        return FixedPoint(self.bound, n_sites, self.integer, self.wide)


@dataclass(frozen=True)
class Shares:
    """Ring words that are uniformly random until those of all sites are added."""

    meaning: str


@dataclass(frozen=True)
class Phase:
    """One exchange between the coordinator and the sites.

    Parameters
    ----------
    meaning
        What happens.
    fields
        What each site sends.
    train
        Flower's kind of message: train, not query.
    times
        How often a run sums it; a site refuses more, which could ask for what the method does not.
        0: once in every round.
    may_lose
        Whether it may be summed over fewer sites than the run's first sum: not what, with an
        earlier sum of the run, would show more of a lost site than its number of cells.
    """

    meaning: str
    fields: dict[str, Public | Masked | Shares]
    train: bool = False
    times: int = 1
    may_lose: bool = True

    def masked(self) -> dict[str, Masked]:
        """The masked fields, in their order."""
        return {name: field for name, field in self.fields.items() if isinstance(field, Masked)}


# What a site sends for a masked sum to come: with its upload to the one before, or in a key phase.
OFFER = {
    "round_key": Public("public key for the next sum"),
    "round_key_signature": Public("the site's signature of it"),
    "commitment": Public("hash of the seed of its next self mask"),
    "boxes": Public("key shares for the next sum, each sealed for one site"),
}


def _of_batches(name: str, shape: str) -> dict[str, Masked]:
    return {
        f"{name}_squares": Masked("batches' means of squared norms", shape, MEAN, wide=True),
        f"{name}_within": Masked("batches' variances", shape, MEAN, wide=True),
        f"{name}_chance": Masked("batches' variances over their cells", shape, MEAN, wide=True),
    }


PHASES = {
    "identities": Phase(
        "the sites' keys for this run",
        {
            "site": Public("the site's name"),
            "agreement_key": Public("public key of the site for this run, to seal boxes for it"),
            "run_key": Public("public key of the site for this run, of its signatures"),
            "site_key": Public("public half of its long-term key; '' without one"),
            "signature": Public("the long-term key's signature of the others"),
        },
    ),
    "meet": Phase(
        "crypten: the sites take each other's keys",
        {"identities": Public("hash of the keys that it took")},
    ),
    "offers": Phase(
        "the sites take each other's keys and offer some for the first masked sum", OFFER
    ),
    "agree": Phase(
        "the survivors of a masked sum sign their list",
        {"signature": Public("of the list of survivors")},
    ),
    "reveal": Phase(
        "the survivors of a masked sum help to open it",
        {"shares": Public("one key share for each site of the sum")},
    ),
    "partial_sums": Phase(
        "crypten: each site adds the shares it owns",
        {"partial": Shares("sum of one share of every site's vector")},
    ),
    "roll_call": Phase(
        "the sites begin with new keys, all together",
        {"present": Masked("1", "", integer=True)},
    ),
    "describe": Phase(
        "a site says what it has, by names alone",
        {
            "site": Public("the site's name"),
            "genes": Public("gene names of its file"),
            "gene_kind": Public("ensembl or symbol"),
            "cell_types": Public("names of its cell types"),
            "versions": Public("software versions"),
        },
    ),
    "moments": Phase(
        "sums over cells from which genes are chosen and scaled",
        {
            "n_cells": Masked("cells", "", integer=True),
            "sum_log": Masked("sum of log1p CP10k", "genes", MAX_LOG1P * MAX_CELLS),
            "sum_log_squared": Masked("sum of its square", "genes", MAX_LOG1P**2 * MAX_CELLS),
            "sum_cp10k": Masked("sum of CP10k", "genes", MAX_CP10K * MAX_CELLS, wide=True),
            "sum_cp10k_squared": Masked(
                "sum of its square", "genes", MAX_CP10K**2 * MAX_CELLS, wide=True
            ),
        },
    ),
    "principal_axes": Phase(
        "second moments of scaled expression, for the pooled principal axes",
        {
            "n_cells": Masked("cells", "", integer=True),
            "sum_scaled": Masked("sum of scaled expression", "genes", MAX_SCALED * MAX_CELLS),
            "second_moments": Masked(
                "sum of products of two genes",
                "gene pairs",
                MAX_SCALED**2 * MAX_CELLS,
            ),
        },
        may_lose=False,
    ),
    "fit": Phase(
        "local training of the model",
        {
            "n_train": Masked("training cells", "", integer=True),
            "n_validation": Masked("validation cells", "", integer=True),
            "update": Masked(
                "share of training cells, or 1, x change of the model's values",
                "values",
                2.0**12,
                narrow_bound=2.0**6,
            ),
            "train_loss": Masked("training cells x loss", "", 1e6 * MAX_CELLS, wide=True),
            "validation_loss": Masked("validation cells x loss", "", 1e6 * MAX_CELLS, wide=True),
        },
        train=True,
        times=0,
    ),
    "peaks": Phase(
        "one digit of the largest batch of each cell type, without its owner",
        {
            "thermometer": Masked(
                "random ring elements up to the digit",
                f"types x {THERMOMETER_BASE}",
                ring=True,
            ),
            "n_batches": Masked("batches that hold the type", "types", integer=True),
        },
        times=2,
    ),
    "latents": Phase(
        "what the trained model's latents give",
        {
            "latent_products": Masked(
                "share of all cells x mean product of two latents", "latent pairs", 2.0**24
            ),
            "latent_residual": Masked(
                "share of all cells x mean product of latent and residual",
                "latents x genes",
                2.0**24,
            ),
            "n_holders": Masked("dominant batches held", "types", integer=True),
            "mean_latent": Masked(
                "mean latent vectors of these batches", "types x latent", 2.0**20
            ),
            "n_large": Masked("batches with min-reference-cells", "types", integer=True),
            "covariance": Masked(
                "latent covariances of these batches", "types x latent pairs", 2.0**24
            ),
        },
    ),
    "remainders": Phase(
        "output residual: what the network does not encode of the shared types",
        {
            "n_large": Masked("batches with min-reference-cells", "types", integer=True),
            "mean": Masked(
                "means of x - decode(z) of these batches", "types x genes", MAX_REMAINDER
            ),
            "variance": Masked(
                "variances of x - decode(z) of these batches", "types x genes", MAX_REMAINDER**2
            ),
        },
    ),
    "correct": Phase(
        "a site shifts, decodes and writes its own cells",
        {
            "n_cells": Masked("cells written", "", integer=True),
            "n_shifted": Masked("cells shifted to a reference", "", integer=True),
            "n_predicted": Masked("of these by a predicted label", "", integer=True),
            "n_nearest": Masked("of these by their nearest cells' label", "", integer=True),
            "n_unlabelled": Masked("cells without a label", "", integer=True),
            "n_unsure": Masked("cells of too low a confidence to steer", "", integer=True),
        },
    ),
    # With the sums of earlier phases, sums over other sites would show a lost site's moments. Sums
    # by type are over batches that count alike, whatever their cells: see docs/secure-sum.md.
    "evaluation_axes": Phase(
        "evaluation: what the model reconstructs, and principal axes of corrected expression",
        {
            "n_cells": Masked("cells", "", integer=True),
            "n_holders": Masked("1 if a batch of the site has cells enough", "types", integer=True),
            "error": Masked("squared error of the reconstruction", "", MEAN, wide=True),
            "validation_error": Masked("the same of held-out cells", "", MEAN, wide=True),
            "squares": Masked("squared expression", "", MEAN, wide=True),
            "validation_squares": Masked("the same of held-out cells", "", MEAN, wide=True),
            "means_error": Masked("squared error of means by batch and type", "", MEAN, wide=True),
            "expression": Masked("expression", "versions x genes", MEAN),
            "sketch": Masked(
                "products of expression and its random projections", "versions x genes x 60", MEAN
            ),
            "latent": Masked("latents", "versions x latent", MEAN),
        },
        may_lose=False,
    ),
    "evaluation_moments": Phase(
        "evaluation: moments of each cell type in principal components and latents",
        {
            "n_batches": Masked("batches with cells enough", "types", integer=True),
            "total": Masked("means of these", "types x dimensions of all views", MEAN, wide=True),
            "squares": Masked("their mean squared norms", "types x views", MEAN, wide=True),
            "type_between": Masked("variance between types, in batches", "views", MEAN, wide=True),
            "type_total": Masked("variance within batches", "views", MEAN, wide=True),
        },
        may_lose=False,
    ),
    "evaluation_features": Phase(
        "evaluation: moments of features that tell whole distributions apart",
        {
            "fourier": Masked(
                "batches' means of random Fourier features", "types x views x 512", MEAN, wide=True
            ),
            **_of_batches("fourier", "types x views"),
            "products": Masked(
                "batches' means of products of coordinates",
                "types x pairs of all views",
                MEAN,
                wide=True,
            ),
            **_of_batches("products", "types x views"),
            "probe_products": Masked(
                "batches' means of products of coordinates and squares, over all types",
                "pairs of all views",
                MEAN,
                wide=True,
            ),
        },
        may_lose=False,
    ),
    "evaluation_probe": Phase(
        "evaluation: what the probe leaves unexplained",
        {
            "probe_within": Masked(
                "batches' variances of its features", "types x views", MEAN, wide=True
            ),
            "probe_chance": Masked("the same over cells", "types x views", MEAN, wide=True),
        },
        may_lose=False,
    ),
}


def phase_of(name: str) -> Phase:
    """The phase called ``name``.

    Raises
    ------
    WireError
        There is none.
    """
    if name not in PHASES:
        raise WireError(f"unknown phase {name!r}: {did_you_mean(name, PHASES)}")
    return PHASES[name]

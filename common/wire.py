"""Every field that may leave a site, phase by phase, and whether it is public or masked.

A site sends nothing that is not declared here: :class:`client.outbox.Outbox` checks each field
against this table and writes it to the site's own log. *Masked* fields reach the coordinator only
as sums over sites, through the secure sum. *Public* fields are public by design: names, versions,
and the keys and key shares of the secure sum, never a number computed from cells. *Shares* are
random words that mean nothing before all sites' are added.
"""

from common.carbon_totals import CARBON
from common.errors import WireError
from common.registry import did_you_mean
from common.wire_classification import CLASSIFICATION
from common.wire_evaluation import EVALUATION
from common.wire_fields import MAX_CELLS, Masked, Phase, Public, Shares
from common.wire_synthesis import SYNTHESIS

MAX_LOG1P = 10.0
MAX_CP10K = 1e4
MAX_SCALED = 10.0
# Of log1p CP10k, summed over a site's batches.
MAX_REMAINDER = 2.0**16
THERMOMETER_BASE = 1024
MAX_KWH = 2.0**20

# What a site sends for a masked sum to come: with its upload to the one before, or in a key phase.
OFFER = {
    "round_key": Public("public key for the next sum"),
    "round_key_signature": Public("the site's signature of it"),
    "commitment": Public("hash of the seed of its next self mask"),
    "boxes": Public("key shares for the next sum, each sealed for one site"),
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
    "fixed_values": Phase(
        "the sites keep what of a model no training changes",
        {"kept": Public("hash of what the coordinator sent it to keep")},
    ),
    "fit": Phase(
        "training of the model",
        {
            "n_train": Masked("training cells", "", integer=True),
            "n_validation": Masked("validation cells", "", integer=True),
            "update": Masked(
                "share of training cells, or 1, x change of the model's values, without those that "
                "no training changes or that are pruned; with strategy = fedsgd x minus the "
                "gradient of the loss over a share of its training cells, at least 64 or all",
                "values",
                2.0**12,
                narrow_bound=2.0**6,
            ),
            "train_loss": Masked("training cells x loss", "", 1e6 * MAX_CELLS, wide=True),
            "validation_loss": Masked("validation cells x loss", "", 1e6 * MAX_CELLS, wide=True),
            "n_float32": Masked(
                "1 if it trained in float32 since its device has no bfloat16", "", integer=True
            ),
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
    "energy": Phase(
        "what the run took at a site",
        {
            "cpu_kwh": Masked("kWh of its CPU in each phase", "phases", MAX_KWH),
            "gpu_kwh": Masked("kWh of its GPU in each phase", "phases", MAX_KWH),
            "ram_kwh": Masked("kWh of its memory in each phase", "phases", MAX_KWH),
            "kg": Masked("kg CO2e of these in each phase", "phases", MAX_KWH),
            "n_estimated": Masked("1 if its CPU's are not measured", "", integer=True),
            "n_gpu_unmetered": Masked("1 if it used a GPU without a counter", "", integer=True),
            "n_without_emissions": Masked(
                "1 if its country's emissions are not known", "", integer=True
            ),
            "n_unmetered": Masked("replies without these figures", "", integer=True),
            **CARBON,
        },
        times=2,
    ),
    **EVALUATION,
    **CLASSIFICATION,
    **SYNTHESIS,
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

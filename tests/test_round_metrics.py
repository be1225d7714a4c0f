"""The losses in metrics.jsonl are means over all sites' cells, computed here with plain torch."""

import anndata
import numpy as np
import pytest
import torch

from common.bundle import Bundle
from common.config import RunConfig
from common.data.held_out import split_cells
from common.models.state import load_state
from common.presets import resolve
from tests.pooled import Pooled
from tests.small_sites import TINY, federate, lines, three_sites, write_sites

SEED = 42
SITES = three_sites()
# One step a round: its loss is that of the model before the step.
SETTINGS = {"preset": "fedscgen", "local_epochs": 1, "batch_size": 1000}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_sites(tmp_path_factory.mktemp("metrics") / "data", SITES)


@pytest.fixture(scope="module")
def two_rounds(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("two") / "out"
    federate(out, data, 3, **SETTINGS, rounds=2)
    return lines(out / "metrics.jsonl")


@pytest.fixture(scope="module")
def models(data, tmp_path_factory):
    """The scaled cells, the preset, and the networks that rounds 1 and 2 start from."""
    values = {k.replace("_", "-"): v for k, v in {**TINY, **SETTINGS, "rounds": 1}.items()}
    pooled = Pooled(anndata.concat(SITES), resolve(RunConfig.parse(values, where="test")), SEED)
    pooled.preprocess(TINY["n_top_genes"])
    out = tmp_path_factory.mktemp("one") / "out"
    federate(out, data, 3, **SETTINGS, rounds=1)
    after_one = pooled.initial()
    load_state(after_one, Bundle.load(out / "bundle").state)
    return pooled, [pooled.initial(), after_one]


def loss(model, x, kl_weight, noise=None):
    """Mean squared error of the reconstruction, and KL(q || N(0, I)) by torch.distributions."""
    with torch.no_grad():
        mean, log_var = model.encode(x)
        normal = torch.distributions.Normal(mean, torch.exp(log_var / 2))
        z = mean if noise is None else mean + normal.stddev * noise
        kl = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0))
        return float(((model.decode(z) - x) ** 2).mean() + kl_weight * kl.sum(dim=1).mean())


def site_cells(pooled):
    """Each site's training and validation cells, scaled."""
    ends = np.cumsum([site.n_obs for site in SITES])
    for site, end in zip(SITES, ends, strict=True):
        share = pooled.preset.training.validation_share
        split = split_cells(site.obs["batch"].to_numpy(dtype=str), share, SEED)
        x = torch.from_numpy(pooled.x[end - site.n_obs : end])
        yield x, split.train, split.validation


@pytest.mark.parametrize("round_", [1, 2])
def test_validation_loss_is_the_mean_over_held_out_cells_before_training(
    two_rounds, models, round_
):
    pooled, before = models
    model = before[round_ - 1].eval()
    held_out = [x[validation] for x, _, validation in site_cells(pooled)]
    expected = loss(model, torch.cat(held_out), pooled.preset.training.kl_weight)
    reported = two_rounds[round_ - 1]["validation_loss_before"]
    np.testing.assert_allclose(reported, expected, rtol=1e-5)
    # Neither the mean of the sites' means nor another round's model would do.
    unweighted = np.mean([loss(model, x, pooled.preset.training.kl_weight) for x in held_out])
    assert abs(unweighted - expected) > 1e-3 * expected
    assert abs(two_rounds[2 - round_]["validation_loss_before"] - expected) > 1e-3 * expected


def test_train_loss_is_the_mean_over_training_cells(two_rounds, models):
    pooled, (model, _) = models
    t = pooled.preset.training
    losses, sizes = [], []
    for x, train, _ in site_cells(pooled):
        order = np.random.default_rng([SEED, 1 if t.reshuffle else 0])
        torch.manual_seed(SEED + 7919)
        generator = torch.Generator().manual_seed(SEED + 7919 + 1)
        noise = torch.randn((len(train), TINY["latent_dim"]), generator=generator)
        losses.append(loss(model.train(), x[order.permutation(train)], t.kl_weight, noise))
        sizes.append(len(train))
    expected = np.average(losses, weights=sizes)
    np.testing.assert_allclose(two_rounds[0]["train_loss"], expected, rtol=1e-5)
    assert abs(np.mean(losses) - expected) > 1e-3 * expected


def test_the_kept_round_is_the_one_with_the_lowest_loss(data, tmp_path, monkeypatch):
    """Round r reports the model that r - 1 rounds made."""
    script, asked = [0.9, 0.8, 0.7, 0.75, 0.71, 0.6], []

    def scripted(model, matrix, rows, training, device):
        asked.append(len(rows))
        return script[(len(asked) - 1) // len(SITES)] * len(rows)

    monkeypatch.setattr("client.phases.fit.evaluation_loss", scripted)
    run = federate(tmp_path / "out", data, 3, **SETTINGS, rounds=6, patience=2)
    assert (run["stopped_early"], run["kept_round"]) == (5, int(np.argmin(script[:5])))

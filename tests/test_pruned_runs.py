"""Whole runs that prune: equal to a plain loop, masked or not, stopped or not, and less is sent."""

import json

import anndata
import numpy as np
import pytest
import torch

from common.bundle import Bundle
from common.classification.published import PublishedClassifier
from common.mini_batches import epochs, seed_at, seeded
from common.models.classifiers.build import build_classifier, restore_classifier
from common.models.classifiers.class_balance import ClassBalance
from common.models.state import state_of
from tests.classified import PooledCells, classify, labelled_sites, plan_of
from tests.expression import CPU
from tests.in_process import InProcessGrid, Stopped, stopping
from tests.small_sites import federate, leftovers, lines, run_json, three_sites, write_sites

SHARE = 0.5
ACTINN = {"classifier": "actinn", "prune_share": SHARE, "prune_round": 2, "rounds": 4}
# Several steps in each round.
LOCAL = {**ACTINN, "strategy": "fedavg", "learning_rate": 0.01, "batch_size": 16, "local_epochs": 2}
VAE = {"prune_share": SHARE, "prune_round": 1, "rounds": 3, "evaluate": False}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_sites(tmp_path_factory.mktemp("pruned") / "data", labelled_sites())


@pytest.fixture(scope="module")
def pruned(data, tmp_path_factory):
    """A masked run of local training, pruned after its second round."""
    out = tmp_path_factory.mktemp("pruned") / "out"
    classify(out, data, 3, **LOCAL)
    return out


def state(out):
    return Bundle.load(out / "bundle").state


def assert_same(out, other):
    one, two = state(out), state(other)
    assert list(one) == list(two)
    for name, value in one.items():
        np.testing.assert_array_equal(two[name], value, err_msg=name)


def shapes(out, site="site-1", phase="classifier_fit"):
    """Values of each round's update."""
    sent = [x for x in lines(out / f"sites/{site}/outbox.jsonl") if x["phase"] == phase]
    return [f["shape"][0] for line in sent for f in line["fields"] if f["field"] == "update"]


def test_a_share_is_zero_in_the_bundle_and_its_card_says_so(pruned):
    run, model = run_json(pruned), state(pruned)
    weights = [value for value in model.values() if value.ndim > 1]
    n_weights = sum(value.size for value in weights)
    n_zero = sum(np.count_nonzero(value == 0) for value in weights)
    assert n_zero == n_weights - run["pruned"]["n_kept"] == round(SHARE * n_weights)
    assert all(value.any() for value in model.values())
    card = json.loads((pruned / "bundle/card.json").read_text())
    assert card["pruned_share"] == run["pruned"]["share"] == pytest.approx(SHARE, abs=1e-3)
    assert run["pruned"]["round"] == 2
    assert leftovers(pruned) == []
    page = (pruned / "report.html").read_text()
    assert f"of {n_weights:,} weights were pruned after round 2" in page
    # A later site has a classifier like any other.
    PublishedClassifier.load(pruned / "bundle")


def plain_loop(data, out):
    """The same run without a federation: every site's steps, their mean, and zeros put back."""
    published = PublishedClassifier.load(out / "bundle")
    config, plan = plan_of(**LOCAL)
    sites = labelled_sites()
    cells = PooledCells(sites, published, config)
    n_genes, n_classes = len(published.panel.genes), len(published.vocabulary.classes)
    model = state_of(build_classifier("actinn", plan.shape, n_genes, n_classes, config.seed))
    ends = np.cumsum([0, *(s.n_obs for s in sites)])
    zeros = {}
    for round_ in range(1, 5):
        made, total = dict.fromkeys(model, 0.0), 0
        for i in range(3):
            rows = cells.train[(cells.train >= ends[i]) & (cells.train < ends[i + 1])]
            copy = {name: value.copy() for name, value in model.items()}
            network = restore_classifier("actinn", plan.shape, n_genes, n_classes, copy).train()
            optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
            seed = seed_at(f"site-{i + 1}", config.seed)
            with seeded(CPU, seed, round_):
                for batches in epochs(rows, plan.training, seed=seed, round_=round_):
                    for batch in batches:
                        optimizer.zero_grad()
                        x = torch.from_numpy(cells.matrix.log(batch))
                        y = torch.from_numpy(cells.y[batch])
                        sum(network.losses(x, y, ClassBalance(), None).values()).backward()
                        for name, p in network.named_parameters():
                            if name in zeros:
                                p.grad[zeros[name]] = 0
                        optimizer.step()
                        for name, p in network.named_parameters():
                            if name in zeros:
                                p.data[zeros[name]] = 0
            for name, value in state_of(network).items():
                made[name] = made[name] + len(rows) * value.astype(np.float64)
            total += len(rows)
        model = {name: (value / total).astype(np.float32) for name, value in made.items()}
        if round_ == 2:
            weights = [np.abs(v).ravel() for v in model.values() if v.ndim > 1]
            flat = np.sort(np.concatenate(weights))
            least = flat[round(SHARE * len(flat))]
            zeros = {k: np.abs(v) < least for k, v in model.items() if v.ndim > 1}
            model = {k: np.where(zeros[k], 0, v) if k in zeros else v for k, v in model.items()}
    return model, zeros


def test_it_is_what_a_plain_loop_gives(data, pruned):
    model, zeros = plain_loop(data, pruned)
    for name, value in state(pruned).items():
        np.testing.assert_allclose(value, model[name], atol=2e-5, err_msg=name)
        if name in zeros:
            np.testing.assert_array_equal(value == 0, zeros[name])


@pytest.mark.parametrize("strategy", ["fedsgd", "fedavg", "fedavgm", "fedadam", "fedadagrad"])
def test_masked_and_plain_sums_give_the_same_model(data, tmp_path, strategy):
    settings = {**ACTINN, "strategy": strategy}
    for sums in ("masked", "off"):
        run = classify(tmp_path / sums, data, 3, secure_sum=sums, **settings)
    assert_same(tmp_path / "masked", tmp_path / "off")
    # Nor does an optimiser's momentum wake what is pruned.
    weights = [value for value in state(tmp_path / "off").values() if value.ndim > 1]
    zero = sum(np.count_nonzero(value == 0) for value in weights)
    assert zero == run["pruned"]["n_weights"] - run["pruned"]["n_kept"]


def test_strategies_that_compare_models_compare_what_is_kept(data, tmp_path):
    run = classify(
        tmp_path / "out", data, 3, secure_sum="off", **{**ACTINN, "strategy": "fedmedian"}
    )
    weights = [value for value in state(tmp_path / "out").values() if value.ndim > 1]
    # A median of sites may be zero too.
    zero = sum(np.count_nonzero(value == 0) for value in weights)
    assert zero >= run["pruned"]["n_weights"] - run["pruned"]["n_kept"]
    assert shapes(tmp_path / "out")[2:] == [run["pruned"]["n_exchanged"]] * 2


@pytest.mark.parametrize("bits", [64, 32])
def test_less_is_sent_both_ways(data, tmp_path, bits):
    sizes = {}
    for share in (0.0, SHARE):
        out = tmp_path / str(share)
        # Twice as many genes as a layer has units: weights, not biases, are what is sent.
        how = {**ACTINN, "prune_share": share, "prune_round": 2 if share else 0}
        run = classify(out, data, 3, ring_bits=bits, n_top_genes=60, **how)
        ledger = [x for x in lines(out / "ledger.jsonl") if x["phase"] == "classifier_fit"]
        for to in (True, False):
            way = [x["bytes"] for x in ledger if (x["to"] == "coordinator") is to]
            sizes[share, to] = np.array(way).reshape(4, 3).sum(axis=1)
        assert shapes(out)[:2] == [run["n_exchanged"]] * 2
    assert shapes(out)[2:] == [run["pruned"]["n_exchanged"]] * 2
    n_pruned = run["pruned"]["n_weights"] - run["pruned"]["n_kept"]
    assert run["n_exchanged"] - run["pruned"]["n_exchanged"] == n_pruned
    for to in (True, False):
        saved = sizes[0.0, to] - sizes[SHARE, to]
        # But for the length of a compressed JSON part.
        assert np.abs(saved[:2]).max() < 200
        # Up: a word of each value; down: four bytes of each value, less a bit of each weight.
        of_site = n_pruned * bits / 8 if to else 4 * n_pruned - run["pruned"]["n_weights"] / 8
        np.testing.assert_allclose(saved[2:], 3 * of_site, rtol=0.06)


@pytest.mark.parametrize("strategy", ["fedsgd", "fedavgm"])
@pytest.mark.parametrize("times", [5, 7, 10])
def test_a_stopped_run_goes_on_with_the_mask(data, tmp_path, strategy, times):
    """In the round before it is pruned, at its end, and in the rounds after it."""
    settings = {**ACTINN, "strategy": strategy}
    classify(tmp_path / "whole", data, 3, **settings)
    with pytest.raises(Stopped):
        classify(tmp_path / "out", data, 3, tamper=stopping("classifier_fit", times), **settings)
    run = classify(tmp_path / "out", data, 3, resume=True, run_id=8, **settings)
    assert run["pruned"] == run_json(tmp_path / "whole")["pruned"]
    assert_same(tmp_path / "whole", tmp_path / "out")


def test_it_does_not_wait_where_training_would_stop(data, tmp_path):
    """A model from before it would have all of its weights."""
    how = {**LOCAL, "rounds": 14, "prune_round": 12, "patience": 1, "learning_rate": 0.3}
    run = classify(tmp_path / "out", data, 3, **how)
    assert run["pruned"]["round"] < 12
    assert run.get("kept_round", 14) >= run["pruned"]["round"]
    weights = [value for value in state(tmp_path / "out").values() if value.ndim > 1]
    zero = sum(np.count_nonzero(value == 0) for value in weights)
    assert zero >= run["pruned"]["n_weights"] - run["pruned"]["n_kept"]


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    return write_sites(tmp_path_factory.mktemp("pruned-vae") / "data", three_sites())


@pytest.mark.parametrize("preset", ["default", "fedscgen"])
def test_a_correction_is_made_with_the_pruned_network(cells, tmp_path, preset, monkeypatch):
    sent, own = [], InProcessGrid.push_messages

    def push(grid, messages):
        messages = list(messages)
        pruned = [m for m in messages if "kept" in m.content]
        sent.extend(m.metadata.message_type.partition(".")[2] for m in pruned)
        return own(grid, messages)

    monkeypatch.setattr(InProcessGrid, "push_messages", push)
    out = tmp_path / "out"
    run = federate(out, cells, 3, preset=preset, **{**VAE, "evaluate": True})
    assert run["status"] == "finished"
    with_model = ["latents", "correct", "evaluation_axes"]
    assert sent == ["fit"] * 6 + [phase for phase in with_model for _ in range(3)]
    bundle = Bundle.load(out / "bundle")
    linear = ("linear_mean.weight", "linear_decoder.weight")
    weights = {k: v for k, v in bundle.state.items() if v.ndim > 1}
    zeros = {k: np.count_nonzero(v == 0) for k, v in weights.items()}
    assert sum(n for k, n in zeros.items() if k not in linear) == (
        run["pruned"]["n_weights"] - run["pruned"]["n_kept"]
    )
    assert not any(zeros.get(name) for name in linear)
    assert bundle.card["pruned_share"] == pytest.approx(SHARE, abs=1e-3)
    assert shapes(out, phase="fit") == [run["n_exchanged"], *[run["pruned"]["n_exchanged"]] * 2]
    # Biases that no training changes are not in a sum.
    n_floats = sum(v.size for v in bundle.state.values() if v.dtype == np.float32)
    assert run["n_exchanged"] == n_floats - (80 if preset == "default" else 0)
    # What a site wrote is of the same network: an unpruned one corrects to something else.
    federate(tmp_path / "whole", cells, 3, preset=preset, rounds=3, evaluate=False)
    one, two = (
        anndata.read_h5ad(tmp_path / k / "sites/site-1/corrected.h5ad") for k in ("out", "whole")
    )
    assert not np.allclose(one.obsm["X_latent"], two.obsm["X_latent"], atol=1e-3)


@pytest.mark.parametrize(("phase", "times"), [("fit", 8), ("latents", 2), ("correct", 1)])
def test_a_stopped_correction_goes_on_with_the_mask(cells, tmp_path, phase, times):
    federate(tmp_path / "whole", cells, 3, **VAE)
    with pytest.raises(Stopped):
        federate(tmp_path / "out", cells, 3, tamper=stopping(phase, times), **VAE)
    federate(tmp_path / "out", cells, 3, resume=True, run_id=8, **VAE)
    assert_same(tmp_path / "whole", tmp_path / "out")

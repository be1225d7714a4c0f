"""Local training of classifiers: repeatable, and equal to a plain PyTorch loop."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch import nn

from common.classification.class_weights import class_weights, logit_offsets
from common.classification.codes import OUTSIDE, UNLABELLED
from common.classification.training import (
    class_balance,
    class_logits,
    fit_classifier,
    loss_sum,
    rate_at,
)
from common.errors import InputError, UpdateError
from common.models.classifiers.class_balance import ClassBalance
from common.models.classifiers.classifier import Classifier
from common.models.classifiers.registry import CLASSIFIERS
from common.models.state import state_of
from common.training import fit
from tests.classifier_cells import FORMS, N_CLASSES, N_GENES, labelled_cells, small_classifier
from tests.expression import CPU, flatten, small_preset

MATRIX, Y = labelled_cells()
ROWS = np.arange(3, 65)
COUNTS = np.bincount(Y[ROWS], minlength=N_CLASSES)
POOLED = COUNTS + np.array([0, 50, 10, 0])


def recipe(name, **values):
    default = {"batch_size": 16, "local_epochs": 2, "rounds": 10}
    return replace(CLASSIFIERS.get(name).training, **(default | values))


def trained(name, form="published", *, rows=ROWS, round_=1, seed=5, balance=None, mu=0.0, **values):
    model = small_classifier(name, form)
    loss = fit_classifier(
        model,
        MATRIX,
        Y,
        rows,
        recipe(name, **values),
        round_=round_,
        seed=seed,
        device=CPU,
        balance=balance,
        proximal_mu=mu,
    )
    return flatten(state_of(model)), loss


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_the_same_seed_gives_the_same_bits(name, form):
    first, again = trained(name, form), trained(name, form)
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1]
    assert (first[0] != trained(name, form, round_=2)[0]).any()
    assert (first[0] != trained(name, form, seed=6)[0]).any()


def test_the_processes_random_states_are_left_alone():
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    expected = torch.rand(1), np.random.random()  # noqa: NPY002
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    trained("scsmd", "full")
    assert (torch.rand(1), np.random.random()) == expected  # noqa: NPY002


OPTIMIZERS = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD, "rmsprop": torch.optim.RMSprop}


@pytest.mark.parametrize("mu", [0.0, 0.5])
@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize(
    ("optimizer", "rate", "norm"), [("adam", 1e-2, 0.0), ("sgd", 0.1, 0.3), ("rmsprop", 1e-2, 0.0)]
)
def test_equals_a_plain_loop(optimizer, rate, norm, scaled, mu):
    values = {
        "optimizer": optimizer,
        "learning_rate": rate,
        "gradient_norm": norm,
        "scaled": scaled,
        "schedule": "exponential",
        "final_share": 0.5,
    }
    weights = torch.tensor([0.5, 1.0, 3.0, 2.0])
    offsets = torch.tensor([0.3, -0.2, 0.1, 0.5])
    balance = ClassBalance(weights, offsets)
    ours, loss = trained("actinn", balance=balance, round_=3, mu=mu, **values)

    model = small_classifier("actinn")
    start = [p.detach().clone() for p in model.parameters()]
    x = torch.from_numpy(MATRIX.sparse.toarray())
    if scaled:
        scaling = MATRIX.scaling
        x = ((x - torch.from_numpy(scaling.mean)) / torch.from_numpy(scaling.sd)).clamp(-10, 10)
    steps = OPTIMIZERS[optimizer](model.parameters(), lr=rate * 0.5 ** (2 / 9))
    order = np.random.default_rng([5, 3])
    for _ in range(2):
        losses = []
        permuted = order.permutation(ROWS)
        for first, end in ((0, 16), (16, 32), (32, 47), (47, 62)):
            cells = permuted[first:end]
            h = x[cells]
            for layer in model.layers:
                h = torch.relu(h @ layer.weight.T + layer.bias)
            adjusted = h @ model.head.weight.T + model.head.bias + offsets
            of_own = -adjusted.log_softmax(1)[torch.arange(len(cells)), torch.from_numpy(Y[cells])]
            penalty = sum(p.square().sum() for p in model.parameters() if p.ndim > 1)
            step_loss = (weights[Y[cells]] * of_own).mean() + 0.005 / 2 * penalty
            steps.zero_grad()
            step_loss.backward()
            length = torch.sqrt(sum(p.grad.square().sum() for p in model.parameters()))
            for p, w in zip(model.parameters(), start, strict=True):
                if norm and length > norm:
                    p.grad *= norm / length
                p.grad += mu * (p.detach() - w)
            steps.step()
            losses += [step_loss.item()] * len(cells)
    np.testing.assert_allclose(ours, flatten(state_of(model)), atol=1e-4)
    assert loss == pytest.approx(np.mean(losses), rel=1e-5)
    assert np.abs(ours - flatten(state_of(small_classifier("actinn")))).max() > 1e-2


class Watched(Classifier):
    """Notes the cells and the noise of each step, of a classifier's training or a VAE's."""

    def __init__(self):
        super().__init__(n_classes=N_CLASSES)
        self.weight = nn.Parameter(torch.zeros(N_GENES))
        self.seen = []

    def losses(self, x, *arguments):
        self.seen.append((x.numpy().copy(), torch.rand(3, generator=arguments[-1]), torch.rand(3)))
        term = (x @ self.weight).mean()
        return {"term": term} if len(arguments) > 1 else (term, torch.zeros(()))


@pytest.mark.parametrize("reshuffle", [True, False])
@pytest.mark.parametrize("batch_size", [16, 30, 61, 99, 2])
def test_steps_are_those_of_the_networks_of_correction(reshuffle, batch_size):
    ours, theirs = Watched(), Watched()
    shared = {"batch_size": batch_size, "reshuffle": reshuffle, "local_epochs": 2}
    where = {"round_": 4, "seed": 7, "device": CPU}
    fit_classifier(ours, MATRIX, Y, ROWS, recipe("actinn", scaled=True, **shared), **where)
    fit(theirs, MATRIX, ROWS, small_preset("fedscgen", **shared).training, **where)
    assert len(ours.seen) == len(theirs.seen) >= 2
    for one, other in zip(ours.seen, theirs.seen, strict=True):
        for mine, its in zip(one, other, strict=True):
            np.testing.assert_array_equal(mine, its)


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_a_site_with_one_class_or_one_cell_trains(name, form):
    for rows in (np.flatnonzero(Y == 1), np.array([4])):
        state, loss = trained(name, form, rows=rows)
        assert np.isfinite(state).all()
        assert np.isfinite(loss)
        assert (state != flatten(state_of(small_classifier(name, form)))).any()


def test_cells_that_cannot_be_trained_on_are_refused():
    with pytest.raises(InputError, match="no training cell"):
        trained("logistic", rows=np.arange(0))
    for wrong in (-1, N_CLASSES):
        labels = Y.copy()
        labels[[5, 9]] = wrong
        with pytest.raises(InputError, match="2 of 62 cells have no label"):
            fit_classifier(
                small_classifier("svm"),
                MATRIX,
                labels,
                ROWS,
                recipe("svm"),
                round_=1,
                seed=0,
                device=CPU,
            )
    offsets = torch.from_numpy(logit_offsets(np.array([3, 0, 2, 1]))).float()
    n_left_out = (Y[ROWS] == 1).sum()
    with pytest.raises(InputError, match=f"{n_left_out} of 62 cells are of a class"):
        trained("logistic", balance=ClassBalance(offsets=offsets))


def test_the_recipe_says_how_classes_count():
    plain = class_balance(recipe("logistic", class_weights="none"), COUNTS, POOLED)
    assert plain == ClassBalance(None, None)
    for keep, pooled in ((True, POOLED), (False, None)):
        both = recipe(
            "logistic",
            class_weights="sqrt",
            logit_adjustment=0.7,
            pseudo_count=3.0,
            keep_frequencies=keep,
        )
        ours = class_balance(both, COUNTS, POOLED)
        expected = logit_offsets(COUNTS, 0.7, pooled, pseudo_count=3.0)
        np.testing.assert_allclose(ours.weights, class_weights(POOLED, "sqrt"), rtol=1e-6)
        np.testing.assert_allclose(ours.offsets, expected, rtol=1e-6)
        assert ours.weights.dtype == ours.offsets.dtype == torch.float32


@pytest.mark.parametrize("name", ["logistic", "svm", "actinn"])
def test_weights_turn_answers_towards_the_rare_class(name):
    rare = int(COUNTS.argmin())
    answers = []
    for kind in ("none", "balanced"):
        values = {"learning_rate": 1e-2, "local_epochs": 10, "class_weights": kind}
        model = small_classifier(name)
        training = recipe(name, **values)
        fit_classifier(
            model,
            MATRIX,
            Y,
            ROWS,
            training,
            round_=1,
            seed=5,
            device=CPU,
            balance=class_balance(training, COUNTS, COUNTS),
        )
        logits = class_logits(model, MATRIX, ROWS, training, CPU)
        answers.append((logits.argmax(axis=1) == rare).sum())
    assert answers[1] > answers[0]


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_logits_have_no_dropout_whatever_the_chunk(name, form, monkeypatch):
    monkeypatch.setattr("common.classification.training.EVALUATION_CELLS", 7)
    model, training = small_classifier(name, form).train(), recipe(name)
    ours = class_logits(model, MATRIX, ROWS, training, CPU)
    x = MATRIX.scaled(ROWS) if training.scaled else torch.from_numpy(MATRIX.log(ROWS))
    with torch.no_grad():
        expected = small_classifier(name, form).eval()(x).numpy()
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
    assert class_logits(model, MATRIX, ROWS[:0], training, CPU).shape == (0, N_CLASSES)


@pytest.mark.parametrize("weights", [None, np.array([0.5, 1.0, 3.0, 2.0])])
@pytest.mark.parametrize("name", ["actinn", "sccdcg"])
def test_validation_loss_against_scikit_learn(name, weights):
    model = small_classifier(name)
    logits, truth = class_logits(model, MATRIX, ROWS, recipe(name), CPU), Y[ROWS]
    p = torch.from_numpy(logits).double().softmax(1).numpy()
    sample_weight = None if weights is None else weights[truth]
    expected = log_loss(
        truth, p, sample_weight=sample_weight, normalize=False, labels=np.arange(N_CLASSES)
    )
    assert loss_sum(model, logits, truth, weights) == pytest.approx(expected, rel=1e-6)
    parts = [slice(20), slice(20, None), slice(0)]
    over_sites = sum(loss_sum(model, logits[part], truth[part], weights) for part in parts)
    assert over_sites == pytest.approx(expected, rel=1e-6)
    # Cells without a class are in neither the loss nor its cells.
    more = np.concatenate([truth, [UNLABELLED, OUTSIDE]])
    with_others = loss_sum(model, np.concatenate([logits, logits[:2]]), more, weights)
    assert with_others == pytest.approx(expected, rel=1e-6)
    assert loss_sum(model, logits[:2], more[-2:], weights) == 0


def test_the_validation_loss_of_a_machine_is_its_hinge_without_the_penalty():
    model = small_classifier("svm", alpha=3.0)
    with torch.no_grad():
        model.linear.weight.fill_(0.1)
    margins = np.array([[0.5, -2.0, 0.0, 3.0], [-1.0, 1.0, -1.0, -0.5]])
    ours = loss_sum(model, margins, np.array([0, 1]))
    assert ours == pytest.approx((0.5 + 0 + 1 + 4) + (0 + 0 + 0 + 0.5))


def test_a_loss_of_logits_that_are_not_finite_is_refused():
    with pytest.raises(UpdateError, match="not finite"):
        loss_sum(small_classifier("svm"), np.array([[np.nan, 0, 0, 0]]), np.array([0]))


def test_the_rate_is_one_rounds():
    training = recipe("scdlc", rounds=30)
    assert rate_at(training, 1) == 5e-3
    assert rate_at(training, 30) == pytest.approx(1e-3)
    rates = [rate_at(training, round_) for round_ in range(1, 31)]
    np.testing.assert_allclose(np.diff(np.log(rates)), np.log(0.2) / 29)
    assert rate_at(replace(training, rounds=1), 1) == 5e-3
    assert rate_at(recipe("actinn"), 9) == 1e-4
    cosine = recipe("actinn", schedule="cosine", rounds=10)
    assert rate_at(cosine, 1) == 1e-4
    assert rate_at(cosine, 10) < 0.1e-4


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("name", ["logistic", "svm", "actinn", "sccdcg"])
def test_a_gpu_gives_what_the_cpu_gives(name):
    training = recipe(name)
    states = []
    for device in (CPU, torch.device("cuda")):
        model = small_classifier(name)
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        balance = ClassBalance(torch.tensor([0.5, 1.0, 3.0, 2.0]))
        fit_classifier(
            model,
            MATRIX,
            Y,
            ROWS,
            training,
            round_=1,
            seed=5,
            device=device,
            balance=balance,
        )
        states.append(flatten(state_of(model)))
    np.testing.assert_allclose(states[0], states[1], atol=1e-4)

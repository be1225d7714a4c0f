"""Each classifier's logits and terms against numpy, scikit-learn or a plain loop over cells."""

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from sklearn.metrics import hinge_loss, log_loss
from sklearn.metrics.pairwise import cosine_similarity

from common.errors import ConfigError
from common.models.classifiers import cell_graph
from common.models.classifiers.build import build_classifier, shape_of
from common.models.classifiers.class_balance import ClassBalance
from common.models.classifiers.scsmd import pairwise_loss
from common.models.state import state_of
from tests.bert_in_numpy import transformer_logits
from tests.classifier_cells import FORMS, N_CLASSES, labelled_cells, small_classifier

MATRIX, Y = labelled_cells()
X = MATRIX.scaled(slice(None))
LABELS = torch.from_numpy(Y)
SELECTED = [7, 3, 11, 0, 19, 5]


def drawn(name, form, **shape):
    """A classifier in which no value is the one it is created with, and its state in float64."""
    model = small_classifier(name, form, **shape).eval()
    draw = torch.Generator().manual_seed(4)
    for value in model.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.randn(value.shape, generator=draw) * 0.4)
    return model, {key: value.astype(np.float64) for key, value in state_of(model).items()}


def linear(state, name, x):
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def relu(x, slope=0.0):
    return np.where(x > 0, x, slope * x)


def lstm(state, k, x, n):
    """Hochreiter & Schmidhuber's cell with a forget gate; x is (n_cells, steps, features)."""
    h = c = np.zeros((len(x), n))
    outputs = []
    for step in range(x.shape[1]):
        gates = x[:, step] @ state[f"recurrent.weight_ih_l{k}"].T + state[f"recurrent.bias_ih_l{k}"]
        gates += h @ state[f"recurrent.weight_hh_l{k}"].T + state[f"recurrent.bias_hh_l{k}"]
        i, f, g, o = np.split(gates, 4, axis=1)
        c = expit(f) * c + expit(i) * np.tanh(g)
        h = expit(o) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs, axis=1)


def gru(state, k, x, n):
    """Cho's cell in cuDNN's form."""
    h, outputs = np.zeros((len(x), n)), []
    for step in range(x.shape[1]):
        a = x[:, step] @ state[f"recurrent.weight_ih_l{k}"].T + state[f"recurrent.bias_ih_l{k}"]
        b = h @ state[f"recurrent.weight_hh_l{k}"].T + state[f"recurrent.bias_hh_l{k}"]
        (ar, az, an), (br, bz, bn) = np.split(a, 3, axis=1), np.split(b, 3, axis=1)
        update = expit(az + bz)
        h = (1 - update) * np.tanh(an + expit(ar + br) * bn) + update * h
        outputs.append(h)
    return np.stack(outputs, axis=1)


def gated(state, h, dilations):
    """Each unit times a gate of its neighbours at some distances, none beyond the ends."""
    gate = np.full(h.shape, state["encoder.2.mix.bias"][0])
    for k, d in enumerate(dilations):
        tap = state[f"encoder.2.convolutions.{k}.weight"][0, 0]
        padded = np.pad(h, ((0, 0), (d, d)))
        signal = sum(tap[j] * padded[:, j * d : j * d + h.shape[1]] for j in range(3))
        signal += state[f"encoder.2.convolutions.{k}.bias"][0]
        gate = gate + state["encoder.2.mix.weight"][0, k, 0] * signal
    return h * expit(gate)


def expected_logits(name, form, state, x):
    if name in ("logistic", "svm"):
        return linear(state, "linear", x)
    if name == "actinn":
        for i in range(3):
            x = relu(linear(state, f"layers.{i}", x))
        return linear(state, "head", x)
    if name == "scdlc" and form.startswith("simplified"):
        for i in range(2 if form.endswith("reduced") else 3):
            x = relu(linear(state, f"layers.{i}", x))
        return linear(state, "head", x)
    if name == "scdlc":
        steps = relu(linear(state, "layers.0", x[:, SELECTED, None]))
        for k in range(1 if form == "reduced" else 2):
            steps = (gru if form == "gru" else lstm)(state, k, steps, 4)
        return linear(state, "head", steps[:, -1])
    return linear(state, "head.1", encoded(name, form, state, x))


def encoded(name, form, state, x):
    if name == "sccdcg":
        return linear(state, "encoder.2", relu(linear(state, "encoder.0", x), 0.2))
    h = relu(linear(state, "encoder.0", x))
    if form == "full":
        return linear(state, "encoder.3", gated(state, h, (2, 4, 6, 8)))
    return linear(state, "encoder.2", h)


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_logits_against_numpy(name, form):
    model, state = drawn(name, form)
    with torch.no_grad():
        ours = model(X).numpy()
    if name == "transformer":
        expected = transformer_logits(state, X.double().numpy(), model.shape)
    else:
        expected = expected_logits(name, form, state, X.double().numpy())
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


def test_scdlcs_published_code_has_grus():
    model, state = drawn("scdlc", "published", cell="gru")
    with torch.no_grad():
        ours = model(X).numpy()
    expected = expected_logits("scdlc", "gru", state, X.double().numpy())
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


def test_scdlc_wants_its_genes_selected():
    shape = shape_of("scdlc")
    model = build_classifier("scdlc", shape, 150, 3, 0)
    with pytest.raises(ConfigError, match="genes are not selected"):
        model(torch.zeros(2, 150))
    for wrong in (np.arange(99), np.zeros(100, int), np.arange(100) + 51, np.arange(100) - 1):
        with pytest.raises(ConfigError, match="100 of 150 genes"):
            model.select(wrong)
    model.select(np.arange(149, 49, -1))
    assert model(torch.zeros(2, 150)).shape == (2, 3)
    # As many as it may have: all are the sequence, in the model's order.
    few = build_classifier("scdlc", shape, 30, 3, 0)
    np.testing.assert_array_equal(few.selected, np.arange(30))


def terms_of(model, weights=None, noise=None):
    balance = ClassBalance(None if weights is None else torch.from_numpy(weights).float())
    with torch.no_grad():
        return {k: float(v) for k, v in model.losses(X, LABELS, balance, noise).items()}


WEIGHTS = np.array([0.5, 1.0, 3.0, 2.0])


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("name", ["logistic", "actinn", "scdlc", "sccdcg", "scsmd"])
def test_cross_entropy_against_scikit_learn(name, weights):
    model, state = drawn(name, "published")
    p = softmax(expected_logits(name, "published", state, X.double().numpy()), axis=1)
    sample_weight = None if weights is None else weights[Y]
    expected = log_loss(Y, p, sample_weight=sample_weight, normalize=False) / len(Y)
    assert terms_of(model, weights)["cross_entropy"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_svms_hinge_against_scikit_learn(weights):
    model, state = drawn("svm", "published")
    margins = linear(state, "linear", X.double().numpy())
    expected = 0.0
    for k in range(N_CLASSES):
        own = k == Y
        sample_weight = np.where(own, 1.0 if weights is None else weights[k], 1.0)
        mean = hinge_loss(own, margins[:, k], sample_weight=sample_weight)
        expected += mean * sample_weight.mean()
    assert terms_of(model, weights)["hinge"] == pytest.approx(expected, rel=1e-5)


def test_svms_squared_hinge_against_a_loop():
    model, state = drawn("svm", "squared")
    margins = linear(state, "linear", X.double().numpy())
    total = 0.0
    for i, y in enumerate(Y):
        for k in range(N_CLASSES):
            lacking = max(0.0, 1 - margins[i, k] if k == y else 1 + margins[i, k])
            total += (WEIGHTS[k] if k == y else 1.0) * lacking**2
    assert terms_of(model, WEIGHTS)["hinge"] == pytest.approx(total / len(Y), rel=1e-5)


def test_a_class_that_the_site_lacks_is_not_in_its_hinge():
    model, _ = drawn("svm", "published")
    held = Y != 2
    offsets = torch.tensor([0.0, 0.4, -torch.inf, 0.0])
    terms = model.losses(X[held], LABELS[held], ClassBalance(offsets=offsets), None)
    terms["hinge"].backward()
    grad = model.linear.weight.grad
    assert (grad[2] == 0).all()
    assert (grad[[0, 1, 3]] != 0).any(dim=1).all()


@pytest.mark.parametrize(
    ("name", "strength"), [("logistic", 1e-2), ("svm", 1e-2), ("actinn", 5e-3)]
)
def test_the_penalty_is_on_weights_alone(name, strength):
    model, state = drawn(name, "published")
    squares = sum((value**2).sum() for key, value in state.items() if key.endswith("weight"))
    assert terms_of(model)["penalty"] == pytest.approx(strength / 2 * squares, rel=1e-5)


def test_actinn_starts_as_glorot_has_it():
    model = build_classifier("actinn", shape_of("actinn"), 2000, 15, 0)
    for layer in (*model.layers, model.head):
        bound = np.sqrt(6 / sum(layer.weight.shape))
        largest = float(layer.weight.abs().max().detach())
        assert 0.95 * bound < largest <= bound
        assert not layer.bias.any()


def graphs_by_loop(x):
    """Cosine and covariance of each two cells, negative ones and loops left out."""
    cosine, covariance = np.maximum(cosine_similarity(x), 0), np.maximum(np.cov(x, ddof=0), 0)
    np.fill_diagonal(cosine, 0)
    np.fill_diagonal(covariance, 0)
    return cosine, covariance


def cut_by_loop(edges, z):
    """Half the sum over edges of the squared distance between the scaled latents of their ends."""
    degree, total = edges.sum(axis=1), 0.0
    for i in range(len(z)):
        for j in range(len(z)):
            if edges[i, j] > 0:
                apart = z[i] / np.sqrt(degree[i]) - z[j] / np.sqrt(degree[j])
                total += edges[i, j] * (apart**2).sum() / 2
    return total / z.size


def test_graphs_against_scikit_learn_and_numpy():
    x = X.double()
    cosine, covariance = graphs_by_loop(x.numpy())
    assert (cosine == 0).sum() > len(x)
    np.testing.assert_allclose(cell_graph.cosine_graph(x), cosine, atol=1e-12)
    np.testing.assert_allclose(cell_graph.covariance_graph(x), covariance, atol=1e-12)


def test_the_cut_of_cells_without_neighbours_is_theirs_alone():
    """A cell whose values are all zero has no edges; the others' cut is as without it."""
    x, z = X[:9].double().clone(), torch.randn(9, 3, dtype=torch.double)
    x[4] = 0
    edges = cell_graph.cosine_graph(x)
    assert not edges[4].any()
    ours = cell_graph.cut(z, cell_graph.laplacian(edges))
    assert float(ours) == pytest.approx(cut_by_loop(edges.numpy(), z.numpy()))


def test_sccdcgs_terms_against_loops():
    model, state = drawn("sccdcg", "published", cosine_share=0.3)
    x = X.double().numpy()
    z = encoded("sccdcg", "published", state, x)
    decoded = linear(state, "decoder.2", relu(linear(state, "decoder.0", z), 0.2))
    cosine, covariance = graphs_by_loop(x)
    cut = 0.3 * cut_by_loop(cosine, z) + 0.7 * cut_by_loop(covariance, z)
    second = np.mean([np.outer(one, one) for one in z], axis=0)
    terms = terms_of(model)
    assert set(terms) == {"cross_entropy", "reconstruction", "cut", "orthogonality"}
    assert terms["reconstruction"] == pytest.approx(((decoded - x) ** 2).mean(), rel=1e-4)
    assert terms["cut"] == pytest.approx(0.1 * cut, rel=1e-4)
    expected = 0.1 * ((second - np.eye(4)) ** 2).mean()
    assert terms["orthogonality"] == pytest.approx(expected, rel=1e-4)
    simplified, _ = drawn("sccdcg", "simplified")
    assert set(terms_of(simplified)) == {"cross_entropy"}
    assert simplified.decoder is None


def test_the_cut_draws_joined_cells_together():
    model = small_classifier("sccdcg", "published")
    for parameter in model.head.parameters():
        parameter.requires_grad_(False)
    edges = cell_graph.laplacian(cell_graph.cosine_graph(X))

    def size_of_cut():
        z = model.encoder(X).detach()
        return float(cell_graph.cut(z, edges) * z.numel() / z.square().sum())

    before = size_of_cut()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        terms = model.losses(X, LABELS, ClassBalance(), None)
        (terms["cut"] + terms["orthogonality"]).backward()
        optimizer.step()
    assert size_of_cut() < 0.9 * before


def test_scsmds_terms_against_loops():
    model, state = drawn("scsmd", "full", hidden_share=0.4)
    x = X.double().numpy()
    p = softmax(expected_logits("scsmd", "full", state, x), axis=1)
    total, n_pairs = 0.0, 0
    for i, j in combinations(range(len(x)), 2):
        agreement = p[i] @ p[j]
        total += (1 - agreement) * (agreement >= 0.8) + agreement * (agreement <= 0.2)
        n_pairs += 1
    terms = terms_of(model, noise=torch.Generator().manual_seed(8))
    assert set(terms) == {"cross_entropy", "reconstruction", "pairs"}
    assert terms["pairs"] == pytest.approx(0.1 * total / n_pairs, rel=1e-4)
    kept = torch.rand(X.shape, generator=torch.Generator().manual_seed(8)).numpy() >= 0.4
    assert 0.5 < kept.mean() < 0.7
    for seen, noise in ((x * kept, torch.Generator().manual_seed(8)), (x, None)):
        z = encoded("scsmd", "full", state, seen)
        decoded = linear(state, "decoder.2", relu(linear(state, "decoder.0", z)))
        expected = ((decoded - x) ** 2).mean()
        assert terms_of(model, noise=noise)["reconstruction"] == pytest.approx(expected, rel=1e-4)


def test_pairs_at_and_between_the_thresholds():
    p = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.5, 0.5]])
    assert pairwise_loss(p, 0.8, 0.2) == 0
    assert float(pairwise_loss(p, 0.5, 0.2)) == pytest.approx((0 + 0.5 + 0.5) / 3)
    assert float(pairwise_loss(p, 1.1, 0.5)) == pytest.approx((0.5 + 0.5) / 3)
    assert pairwise_loss(p[:1], 0.8, 0.2) == 0

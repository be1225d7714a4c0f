"""What every classifier keeps to: its registry, its size, its state, its gradients."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from common.config import RunConfig
from common.errors import ConfigError
from common.models.classifiers.build import (
    build_classifier,
    restore_classifier,
    shape_of,
    trainable_names,
)
from common.models.classifiers.class_balance import ClassBalance
from common.models.classifiers.registry import CLASSIFIERS
from common.models.registry import MODELS
from common.models.state import change, load_state, moved, state_of
from tests.classifier_cells import (
    FORMS,
    N_CLASSES,
    N_GENES,
    SMALL,
    labelled_cells,
    small_classifier,
)

MATRIX, Y = labelled_cells()
X, LABELS = MATRIX.scaled(slice(None)), torch.from_numpy(Y)


def narrow_shape(name, form):
    return replace(shape_of(name, form), **SMALL[name])


def test_each_classifier_is_in_the_registry_and_no_vae_is():
    assert CLASSIFIERS.names() == sorted([*SMALL, "xgboost"])
    assert MODELS.names() == ["linear_vae", "vae"]
    for name in SMALL:
        assert "published" in CLASSIFIERS.get(name).forms


def test_an_unknown_name_or_form_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"unknown classifier 'actin'.*'actinn'.*svm"):
        shape_of("actin")
    with pytest.raises(ConfigError, match=r"actinn has no form 'reduce'.*'reduced'"):
        shape_of("actinn", "reduce")


def test_one_class_is_nothing_to_tell_apart():
    with pytest.raises(ConfigError, match=r"1 cell type\(s\).*at least 2"):
        build_classifier("svm", shape_of("svm"), N_GENES, 1, 0)
    with pytest.raises(ConfigError, match=r"0 cell type\(s\)"):
        restore_classifier("svm", shape_of("svm"), N_GENES, 0, {})


@pytest.mark.parametrize(
    ("name", "form", "expected"),
    [
        ("logistic", "published", 2001 * 15),
        ("svm", "published", 2001 * 15),
        ("actinn", "published", 2001 * 100 + 101 * 50 + 51 * 25 + 26 * 15),
        ("actinn", "reduced", 2001 * 50 + 51 * 25 + 26 * 12 + 13 * 15),
        # Two LSTMs of four gates, each with the two biases of torch.
        ("scdlc", "published", 2 * 200 + 4 * 64 * (200 + 64 + 2) + 4 * 64 * (128 + 2) + 65 * 15),
        ("scdlc", "simplified", 2001 * 128 + 129 * 64 + 65 * 64 + 65 * 15),
        ("sccdcg", "published", 2001 * 256 + 257 * 64 + 65 * 256 + 257 * 2000 + 65 * 15),
        ("sccdcg", "simplified", 2001 * 256 + 257 * 64 + 65 * 15),
        ("scsmd", "published", 2001 * 1024 + 1025 * 64 + 65 * 15),
        (
            "scsmd",
            "full",
            2001 * 1024 + 1025 * 64 + 65 * 15 + 4 * 4 + 5 + 65 * 1024 + 1025 * 2000,
        ),
        # A layer has four square maps, of which the keys' has no bias, a perceptron and two norms.
        (
            "transformer",
            "published",
            (2000 + 256) * 64
            + 2 * 64
            + 2 * (4 * 65 * 64 - 64 + 65 * 128 + 129 * 64 + 4 * 64)
            + 65 * 15,
        ),
    ],
)
def test_sizes_are_the_published_ones(name, form, expected):
    model = build_classifier(name, shape_of(name, form), 2000, 15, 0)
    assert sum(p.numel() for p in model.parameters()) == expected


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_a_cells_logits_do_not_depend_on_the_other_cells(name, form):
    model = small_classifier(name, form).eval()
    with torch.no_grad():
        together, alone = model(X), torch.cat([model(cell) for cell in X.split(1)])
    assert together.shape == (len(X), N_CLASSES)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_every_value_that_is_sent_is_trained(name, form):
    """scFL-Green averages a decoder that has no gradient."""
    without = {"dropout": 0.0} if hasattr(shape_of(name, form), "dropout") else {}
    model = small_classifier(name, form, **without)
    before = {key: value.copy() for key, value in state_of(model).items()}
    model.train()
    terms = model.losses(X, LABELS, ClassBalance(), torch.Generator().manual_seed(0))
    sum(terms.values()).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert (parameter.grad != 0).any(), key
    torch.optim.SGD(model.parameters(), 0.1).step()
    state = state_of(model)
    again = small_classifier(name, form, seed=1)
    load_state(again, moved(before, change(state, before)))
    for key, value in state.items():
        np.testing.assert_allclose(state_of(again)[key], value, atol=1e-6, err_msg=key)


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_gradients_against_finite_differences(name, form):
    model = small_classifier(name, form).double().eval()
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=draw, dtype=torch.double)
    balance = ClassBalance(
        torch.tensor([0.5, 1.0, 2.0, 1.0]).double(), torch.tensor([0.1, -1.0, 0.3, 0.0]).double()
    )
    x, y = X[:11].double(), LABELS[:11]

    def loss():
        return sum(model.losses(x, y, balance, torch.Generator().manual_seed(1)).values())

    loss().backward()
    parameters = [p for p in model.parameters() if p.requires_grad]
    direction = [torch.randn(p.shape, generator=draw, dtype=torch.double) for p in parameters]
    slope = sum((p.grad * d).sum() for p, d in zip(parameters, direction, strict=True))
    ends = []
    with torch.no_grad():
        for step in (1e-6, -2e-6):
            for parameter, d in zip(parameters, direction, strict=True):
                parameter += step * d
            ends.append(loss())
    assert float(slope) == pytest.approx(float(ends[0] - ends[1]) / 2e-6, rel=1e-4)


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_the_same_seed_builds_the_same_classifier_and_leaves_the_random_state(name, form):
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    shape = shape_of(name, form)
    states = [state_of(build_classifier(name, shape, N_GENES, N_CLASSES, s)) for s in (1, 1, 2)]
    assert torch.rand(1) == expected
    for key, value in states[0].items():
        np.testing.assert_array_equal(value, states[1][key])
    convex = name in ("logistic", "svm")
    assert all((states[0][key] == states[2][key]).all() for key in states[0]) == convex


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_a_restored_classifier_answers_alike(name, form):
    model = small_classifier(name, form).eval()
    other = restore_classifier(name, narrow_shape(name, form), N_GENES, N_CLASSES, state_of(model))
    assert torch.equal(other.eval()(X), model(X))
    names = trainable_names(name, narrow_shape(name, form), N_GENES, N_CLASSES)
    assert names == [key for key, _ in model.named_parameters()]
    with pytest.raises(RuntimeError):
        restore_classifier(name, narrow_shape(name, form), N_GENES, 3, state_of(model))


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_a_mini_batch_of_one_cell_or_one_class_is_finite(name, form):
    model = small_classifier(name, form).train()
    offsets = torch.tensor([0.0, -torch.inf, -torch.inf, -torch.inf])
    for n_cells in (1, 8):
        y = torch.zeros(n_cells, dtype=torch.int64)
        for balance in (ClassBalance(), ClassBalance(offsets=offsets)):
            terms = model.losses(X[:n_cells], y, balance, torch.Generator().manual_seed(0))
            model.zero_grad()
            sum(terms.values()).backward()
            assert all(torch.isfinite(term) for term in terms.values()), terms
            assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


def test_few_rounds_send_a_checkpoints_layers_where_no_strategy_is_named():
    asked = {"task": "classify", "classifier": "transformer"}
    assert RunConfig.parse(asked, where="test").strategy_name == "fedsgd"
    own = RunConfig.parse(asked | {"checkpoint": "/abs/folder"}, where="test")
    assert own.strategy_name == "fedavg"
    with pytest.raises(ConfigError, match="local-epochs = 2: with strategy = fedsgd"):
        RunConfig.parse(own.flat() | {"strategy": "fedsgd", "local-epochs": 2}, where="test")

"""The transformer: what its logits depend on, its layers against torch's, and frozen parts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import nn

from common.classification.training import fit_classifier
from common.data.matrix import ExpressionMatrix
from common.errors import ConfigError
from common.models.classifiers.bert_encoder import BertLayer
from common.models.classifiers.build import (
    build_classifier,
    exchanged_names,
    restore_classifier,
    shape_of,
    trainable_names,
)
from common.models.classifiers.registry import CLASSIFIERS
from common.models.state import change, moved, state_of
from tests.bert_in_numpy import transformer_logits
from tests.classifier_cells import N_CLASSES, N_GENES, SMALL, labelled_cells, small_classifier
from tests.expression import CPU

MATRIX, Y = labelled_cells()
LOG = torch.from_numpy(MATRIX.sparse.toarray())
SHAPES = [
    {"values": values, "pooling": pooling, "ends": ends}
    for values in (False, True)
    for pooling in ("mean", "first")
    for ends in (False, True)
]
LAST = ("layers.1", "pooler", "head")


def drawn(**shape):
    """A transformer without dropout whose cells differ, with no value as it is created."""
    model = small_classifier("transformer", **shape).eval()
    draw = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draw) * 0.7)
            if name.endswith("norm.weight"):
                parameter += 1
    return model


@torch.no_grad()
def logits(model, log):
    return model(log).numpy()


@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("shape", SHAPES)
def test_logits_against_numpy_cell_by_cell(shape, activation):
    model = drawn(**shape, activation=activation)
    state = {name: value.astype(np.float64) for name, value in state_of(model).items()}
    log = LOG.clone()
    log[5] = 0
    expected = transformer_logits(state, log.numpy().astype(np.float64), model.shape)
    np.testing.assert_allclose(logits(model, log), expected, atol=1e-4)


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_a_layer_against_torchs_own(activation):
    torch.manual_seed(2)
    ours = BertLayer(12, 3, 20, activation=activation, epsilon=1e-5).eval()
    theirs = nn.TransformerEncoderLayer(12, 3, 20, activation=activation, batch_first=True).eval()
    parts = [ours.query, ours.key, ours.value]
    copied = {
        "self_attn.in_proj_weight": torch.cat([part.weight for part in parts]),
        # A bias of the keys changes nothing.
        "self_attn.in_proj_bias": torch.cat([ours.query.bias, torch.randn(12), ours.value.bias]),
    }
    for name, part in {
        "self_attn.out_proj": ours.attention_output,
        "linear1": ours.hidden,
        "linear2": ours.output,
        "norm1": ours.attention_norm,
        "norm2": ours.output_norm,
    }.items():
        nn.init.normal_(part.bias)
        copied |= {f"{name}.weight": part.weight, f"{name}.bias": part.bias}
    theirs.load_state_dict(copied)
    h = torch.randn(4, 7, 12)
    seen = torch.arange(7) < torch.tensor([7, 3, 1, 6])[:, None]
    with torch.no_grad():
        made, expected = ours(h, seen), theirs(h, src_key_padding_mask=~seen)
        torch.testing.assert_close(made[seen], expected[seen], atol=1e-5, rtol=1e-5)
        other = torch.where(seen[..., None], h, torch.randn(4, 7, 12) * 100)
        torch.testing.assert_close(ours(other, seen)[seen], made[seen])


@pytest.mark.parametrize("shape", SHAPES)
def test_the_order_of_genes_in_the_file_has_no_meaning(shape):
    model = drawn(**shape)
    # No ties, which the order of genes decides.
    log = LOG + 0.3 * (LOG > 0) * torch.rand(LOG.shape, generator=torch.Generator().manual_seed(3))
    order = torch.from_numpy(np.random.default_rng(0).permutation(N_GENES))
    permuted = drawn(**shape)
    with torch.no_grad():
        permuted.gene.weight[:N_GENES] = model.gene.weight[order]
        permuted.typical.copy_(model.typical[order])
    expected = logits(model, log)
    np.testing.assert_allclose(logits(permuted, log[:, order]), expected, atol=1e-5)
    assert np.abs(logits(model, log[:, order]) - expected).max() > 0.1


def test_only_ranks_count_and_with_values_expression_too():
    deeper = torch.log1p(4 * torch.expm1(LOG.double())).float()
    for values in (False, True):
        model = drawn(values=values)
        apart = np.abs(logits(model, deeper) - logits(model, LOG)).max()
        assert apart > 0.1 if values else apart < 1e-5


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_no_token_has_no_influence(shape):
    model = drawn(**shape)
    cells = torch.zeros(3, N_GENES)
    cells[0, 4], cells[1, [2, 9]] = 1.0, 1.5
    cells[2] = LOG[0] + 0.1
    before = logits(model, cells)
    with torch.no_grad():
        others = [g for g in range(N_GENES) if g not in (2, 4, 9)]
        model.gene.weight[others] = 100 * model.gene.weight[others].flip(1)
        n_ranks = 2 + 2 * shape["ends"]
        model.rank.weight[n_ranks:] = 100 * model.rank.weight[n_ranks:].flip(1)
    after = logits(model, cells)
    np.testing.assert_allclose(after[:2], before[:2], atol=1e-5)
    assert np.abs(after[2] - before[2]).max() > 0.1


def test_genes_of_the_last_ranks_are_left_out():
    model = drawn()
    model.typical.fill_(1.0)
    cell = torch.arange(N_GENES, 0, -1.0)[None] / 10
    last = cell.clone()
    last[0, 9:] = 0.01
    assert np.array_equal(logits(model, cell), logits(model, last))
    last[0, 8] = 0
    assert not np.array_equal(logits(model, cell), logits(model, last))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_cell_without_expression_has_finite_logits_and_gradients(shape):
    model = drawn(**shape).train()
    empty = torch.zeros(2, N_GENES)
    mixed = torch.cat([empty, LOG[:3]])
    np.testing.assert_allclose(model.eval()(mixed)[:2].detach(), logits(model, empty), atol=1e-6)
    if not shape["ends"]:
        np.testing.assert_allclose(logits(model, empty)[0], model.head.bias.detach())
    for x in (empty, mixed):
        model.zero_grad()
        model(x).square().sum().backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_long_sequences_are_labelled_a_few_cells_at_a_time(monkeypatch):
    model, expected = drawn(), logits(drawn(), LOG)
    held = []
    model.norm.register_forward_hook(lambda _, given, __: held.append(given[0].numel()))
    for limit, n_cells in ((9 * 8 * 7, 7), (1, 1)):
        held.clear()
        monkeypatch.setattr("common.models.classifiers.transformer.VALUES_AT_ONCE", limit)
        np.testing.assert_allclose(logits(model, LOG), expected, atol=1e-5)
        assert max(held) <= 9 * 8 * n_cells
    assert logits(model, LOG[:0]).shape == (0, N_CLASSES)


def test_without_moments_or_with_others_it_says_so():
    model = build_classifier("transformer", shape_of("transformer"), N_GENES, N_CLASSES, 0)
    with pytest.raises(ConfigError, match=r"typical expression.*take_moments"):
        model(LOG)
    with pytest.raises(ConfigError, match=r"moments of 19 genes for a transformer over 20"):
        model.take_moments(np.ones(19), np.ones(19))


def test_types_that_differ_in_the_order_of_genes_alone_are_told_apart():
    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    log = rng.uniform(0.5, 1, (200, N_GENES)).astype(np.float32)
    # All have all genes; in one type genes 0 to 9 come before the others, as a rule, in one after.
    log[:, :10] += (2 * y[:, None] - 1) * 0.2
    matrix = ExpressionMatrix(sparse.csr_matrix(log), MATRIX.scaling)
    model = small_classifier("transformer", max_tokens=20)
    model.typical.fill_(1.0)
    how = {"local_epochs": 6, "batch_size": 16, "learning_rate": 3e-3}
    training = replace(CLASSIFIERS.get("transformer").training, **how)
    fit_classifier(model, matrix, y, np.arange(150), training, round_=1, seed=1, device=CPU)
    answers = logits(model.eval(), torch.from_numpy(log[150:])).argmax(axis=1)
    assert (answers == y[150:]).mean() > 0.9


def narrow(**shape):
    return replace(shape_of("transformer"), **(SMALL["transformer"] | shape))


def test_frozen_parts_do_not_change_and_are_not_exchanged():
    shape = {"pooling": "first", "trained": LAST}
    model = small_classifier("transformer", **shape)
    initial = {name: value.copy() for name, value in state_of(model).items()}
    training = replace(CLASSIFIERS.get("transformer").training, batch_size=16)
    how = {"round_": 1, "seed": 5, "device": CPU, "proximal_mu": 0.1}
    fit_classifier(model, MATRIX, Y, np.arange(60), training, **how)
    after = state_of(model)
    changed = {name for name, value in after.items() if (value != initial[name]).any()}
    exchanged = exchanged_names("transformer", narrow(**shape), N_GENES, N_CLASSES)
    assert changed == set(exchanged) == set(model.exchanged_names())
    assert exchanged == trainable_names("transformer", narrow(**shape), N_GENES, N_CLASSES)
    assert {name.split(".")[0] for name in exchanged} == {"layers", "pooler", "head"}
    assert not any(name.startswith("layers.0") for name in exchanged)

    # A round sends these alone; with the rest, which every site has, they are the model.
    sent = {name: after[name] for name in exchanged}
    received = moved({name: initial[name] for name in exchanged}, change(sent, initial))
    again = restore_classifier(
        "transformer", narrow(**shape), N_GENES, N_CLASSES, initial | received
    )
    np.testing.assert_allclose(logits(again.eval(), LOG), logits(model.eval(), LOG), atol=1e-5)
    assert [p.requires_grad for p in again.parameters()] == [
        name in exchanged for name, _ in again.named_parameters()
    ]


def test_without_frozen_parts_all_but_the_typical_expression_is_exchanged():
    model = small_classifier("transformer")
    assert set(model.exchanged_names()) == set(state_of(model)) - {"typical"}
    # Other classifiers exchange what they always did.
    actinn = small_classifier("actinn")
    assert actinn.exchanged_names() == list(state_of(actinn))
    assert "selected" not in small_classifier("scdlc").exchanged_names()


def test_a_part_that_there_is_not_is_refused():
    with pytest.raises(ConfigError, match=r"no part 'layer\.1' to train: did you mean 'layers\.1'"):
        small_classifier("transformer", trained=("layer.1",))
    # Without BERT's pooling there is no pooler.
    with pytest.raises(ConfigError, match=r"'pooler'.*Known: gene, head, layers\.0, layers\.1"):
        small_classifier("transformer", trained=("pooler",))
    # "layers.1" is not the beginning of "layers.10".
    model = small_classifier("transformer", n_layers=11, trained=("layers.1",))
    assert all(name.startswith("layers.1.") for name in model.exchanged_names())

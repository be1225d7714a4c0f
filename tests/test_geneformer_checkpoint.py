"""Checkpoints of Geneformer's form: the same numbers as transformers', over a run's genes."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy import sparse

from common.classification.training import fit_classifier
from common.data.matrix import ExpressionMatrix
from common.errors import ConfigError, GeneError, InputError
from common.models.classifiers.build import exchanged_names, restore_classifier
from common.models.classifiers.geneformer_checkpoint import load_checkpoint
from common.models.classifiers.registry import CLASSIFIERS
from common.models.state import change, moved, not_finite, state_of
from common.panel import Scaling
from tests.bert_folders import (
    GENES,
    MEDIANS,
    N_HEADS,
    N_LAYERS,
    N_RANKS,
    SEQUENCE,
    SPECIAL,
    SYMBOLS,
    TOKENS,
    bert_config,
    bert_values,
    write_folder,
)
from tests.bert_in_numpy import bert, linear, ranked
from tests.expression import CPU

N_GENES, N_CLASSES = len(GENES), 3
# By ``python tests/bert_by_transformers.py``, transformers 5.24.0.
BY_TRANSFORMERS = {
    "relu": (
        [1.11579, 0.43425, 0.82484, -2.7183, 0.1749, -1.84309, 0.1436, 0.15488],
        [1.10974, 0.48351, 0.8319, -2.69752, 0.12411, -1.81064, 0.16146, 0.14672],
        [0.16027, -0.95066, 0.99624, 0.99207, -0.99848, 0.6536, 0.95267, 0.88641],
    ),
    "gelu": (
        [1.08793, 0.69921, 0.78784, -2.66353, 0.12473, -1.75091, 0.11193, 0.20549],
        [1.07912, 0.74014, 0.79731, -2.62037, 0.06289, -1.71036, 0.12007, 0.20217],
        [0.10875, -0.93766, 0.9943, 0.98561, -0.99734, 0.5832, 0.94162, 0.88522],
    ),
}


def restored(checkpoint, n_genes=N_GENES):
    return restore_classifier(
        "transformer", checkpoint.shape, n_genes, N_CLASSES, checkpoint.state
    ).eval()


def cells(n_cells=9, seed=0):
    """log1p CP10k, a third of it zero, the first cell's all."""
    rng = np.random.default_rng(seed)
    log = rng.uniform(0.1, 4, (n_cells, N_GENES)) * (rng.random((n_cells, N_GENES)) > 0.3)
    log[0] = 0
    return log.astype(np.float32)


@torch.no_grad()
def tokens_and_pooled(model, log):
    """The last layer's tokens and the pooler's output, before dropout and head."""
    seen = {}
    model.layers[-1].register_forward_hook(lambda _, __, made: seen.update(tokens=made))
    model.head.register_forward_pre_hook(lambda _, given: seen.update(pooled=given[0]))
    model(torch.from_numpy(log))
    return seen["tokens"].numpy(), seen["pooled"].numpy()


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_as_transformers_computes_it(tmp_path, activation):
    folder = write_folder(tmp_path, config=bert_config(hidden_act=activation))
    model = restored(load_checkpoint(folder, GENES, N_CLASSES, 0))
    # The first cell's genes are ranked as in the sequence; the second has more: there is padding.
    gene_of = {token: i for i, token in enumerate(TOKENS.values())}
    log = np.zeros((2, N_GENES), dtype=np.float32)
    order = [gene_of[token] for token in SEQUENCE[1:-1]]
    for place, gene in enumerate(order):
        log[0, gene] = np.log1p((9 - place) * MEDIANS[GENES[gene]])
    log[1, :9] = 1
    tokens, pooled = tokens_and_pooled(model, log)
    first, last, pooler = BY_TRANSFORMERS[activation]
    np.testing.assert_allclose(tokens[0, 0], first, atol=2e-5)
    np.testing.assert_allclose(tokens[0, len(SEQUENCE) - 1], last, atol=2e-5)
    np.testing.assert_allclose(pooled[0], pooler, atol=2e-5)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("prefix", ["", "bert."])
@pytest.mark.parametrize("max_tokens", [2048, 5])
def test_logits_against_numpy(tmp_path, activation, ends, prefix, max_tokens):
    values = bert_values()
    config = bert_config(hidden_act=activation)
    folder = write_folder(tmp_path, config=config, values=values, prefix=prefix, ends=ends)
    checkpoint = load_checkpoint(folder, GENES, N_CLASSES, 0, max_tokens=max_tokens)
    model, log = restored(checkpoint), cells()
    with torch.no_grad():
        ours = model(torch.from_numpy(log)).numpy()
    exact = {name: value.astype(np.float64) for name, value in values.items()}
    head = {name: value.astype(np.float64) for name, value in checkpoint.state.items()}
    tokens, medians = list(TOKENS.values()), list(MEDIANS.values())
    for cell, logits in zip(log.astype(np.float64), ours, strict=True):
        sequence = [tokens[gene] for gene in ranked(cell, medians, max_tokens)]
        if ends:
            sequence = [SPECIAL["<cls>"], *sequence, SPECIAL["<eos>"]]
        if not sequence:
            np.testing.assert_array_equal(logits, checkpoint.state["head.bias"])
            continue
        h = bert(exact, sequence, N_LAYERS, N_HEADS, activation)
        expected = linear(head, "head", np.tanh(linear(exact, "pooler.dense", h[0])))
        np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_what_a_checkpoint_lacks_is_drawn_by_the_seed(tmp_path):
    folder = write_folder(tmp_path, values=bert_values(pooler=False))
    states = [load_checkpoint(folder, GENES, N_CLASSES, seed).state for seed in (1, 1, 2)]
    for name, value in states[0].items():
        np.testing.assert_array_equal(value, states[1][name])
        drawn = name in ("head.weight", "pooler.weight")
        assert (value == states[2][name]).all() != drawn, name
    assert not_finite(states[0]) == ""


def test_the_head_of_another_task_is_not_taken(tmp_path):
    """The answers of a masked model, or of a classifier over other types, mean nothing here."""
    others = {f"bert.{name}": value for name, value in bert_values().items()}
    others["classifier.weight"] = np.ones((N_CLASSES, 8), dtype=np.float32)
    others["cls.predictions.bias"] = np.ones(21, dtype=np.float32)
    plain = load_checkpoint(write_folder(tmp_path / "plain"), GENES, N_CLASSES, 0)
    other = load_checkpoint(write_folder(tmp_path / "other", values=others), GENES, N_CLASSES, 0)
    for name, value in plain.state.items():
        np.testing.assert_array_equal(other.state[name], value)


def test_half_precision_is_widened(tmp_path):
    folder = write_folder(tmp_path)
    values = {name: torch.from_numpy(value) for name, value in bert_values().items()}
    full = load_checkpoint(folder, GENES, N_CLASSES, 0).state
    save_file({k: v.bfloat16() for k, v in values.items()}, folder / "model.safetensors")
    half = load_checkpoint(folder, GENES, N_CLASSES, 0).state
    for name, value in full.items():
        assert half[name].dtype == np.float32
        np.testing.assert_allclose(half[name], value, rtol=2e-2, atol=2e-2)


def test_sizes_and_what_is_trained(tmp_path):
    folder = write_folder(tmp_path)
    shape = load_checkpoint(folder, GENES, N_CLASSES, 0).shape
    assert (shape.dropout, shape.attention_dropout, shape.pooling) == (0.02, 0.03, "first")
    assert shape.max_tokens == N_GENES
    assert shape.trained == ("layers.1", "layers.2", "pooler", "head")
    many = [*GENES, *(f"ENSG{i:011d}" for i in range(50, 62))]
    assert load_checkpoint(folder, many, N_CLASSES, 0).shape.max_tokens == N_RANKS - 2
    short = load_checkpoint(folder, GENES, N_CLASSES, 0, max_tokens=4, trained=["head"]).shape
    assert (short.max_tokens, short.trained) == (4, ("head",))
    with pytest.raises(ConfigError, match=r"no part 'layers\.3' to train"):
        load_checkpoint(folder, GENES, N_CLASSES, 0, trained=["layers.3"])


def test_a_federated_round_of_the_last_layers(tmp_path):
    """Two sites train; what they exchange is averaged, the rest stays the checkpoint's."""
    checkpoint = load_checkpoint(write_folder(tmp_path), GENES, N_CLASSES, 0)
    before = checkpoint.state
    names = exchanged_names("transformer", checkpoint.shape, N_GENES, N_CLASSES)
    assert {name.split(".")[0] for name in names} == {"layers", "pooler", "head"}
    assert not any(name.startswith("layers.0.") for name in names)
    y = np.arange(30) % N_CLASSES
    training = replace(CLASSIFIERS.get("transformer").training, batch_size=8)
    changes = []
    for seed in (1, 2):
        matrix = ExpressionMatrix(
            sparse.csr_matrix(cells(30, seed=seed)), Scaling(np.zeros(12), np.ones(12))
        )
        model = restored(checkpoint)
        how = {"round_": 1, "seed": 5, "device": CPU}
        fit_classifier(model, matrix, y, np.arange(30), training, **how)
        after = state_of(model)
        changes.append(change({name: after[name] for name in names}, before))
        same = {name for name in before if (after[name] == before[name]).all()}
        assert same == set(before) - set(names)
    assert sum(before[name].size for name in names) == len(changes[0])
    mean = moved({name: before[name] for name in names}, np.mean(changes, axis=0))
    model = restored(replace(checkpoint, state=before | mean))
    assert model.exchanged_names() == names
    start = sum(before[name].size for name in names[: names.index("head.weight")])
    size = before["head.weight"].size
    added = (changes[0] + changes[1])[start : start + size] / 2
    made = state_of(model)["head.weight"] - before["head.weight"]
    np.testing.assert_allclose(made.ravel(), added, atol=1e-6)
    assert np.abs(added).max() > 1e-4


def test_symbols_versions_and_unknown_genes(tmp_path):
    known = write_folder(tmp_path, gene_name_id=dict(zip(SYMBOLS, GENES, strict=True)))
    plain = load_checkpoint(known, GENES, N_CLASSES, 0)
    for names in (SYMBOLS, [f"{gene}.7" for gene in GENES], [*SYMBOLS[:5], *GENES[5:]]):
        other = load_checkpoint(known, names, N_CLASSES, 0)
        assert other.dropped == ()
        for name, value in plain.state.items():
            np.testing.assert_array_equal(other.state[name], value)

    # Unknown genes, and the second of two with one token, are dropped and never are tokens.
    names = [*SYMBOLS[:3], "NOVEL1", *SYMBOLS[3:], GENES[2], "NOVEL2"]
    more = load_checkpoint(known, names, N_CLASSES, 0)
    assert more.dropped == ("NOVEL1", GENES[2], "NOVEL2")
    log = cells()
    wider = np.insert(log, [3, 12, 12], 3.0, axis=1)
    # The head's values are drawn after those of more genes.
    more = replace(more, state=more.state | {"head.weight": plain.state["head.weight"]})
    with torch.no_grad():
        ours = restored(more, len(names))(torch.from_numpy(wider)).numpy()
        expected = restored(plain)(torch.from_numpy(log)).numpy()
    np.testing.assert_allclose(ours, expected, atol=1e-6)
    # A gene without a median has no rank.
    medians = {gene: m for gene, m in MEDIANS.items() if gene != GENES[4]}
    folder = write_folder(tmp_path / "fewer", gene_median_dictionary=medians)
    assert load_checkpoint(folder, GENES, N_CLASSES, 0).dropped == (GENES[4],)


def test_too_few_genes_are_refused(tmp_path):
    folder = write_folder(tmp_path)
    with pytest.raises(
        GeneError, match=r"0 of the run's 12 genes and 50% .*symbols: add gene_name"
    ):
        load_checkpoint(folder, SYMBOLS, N_CLASSES, 0)
    mouse = [gene.replace("ENSG", "ENSMUSG") for gene in GENES]
    wanted = r"5 of the run's 12 genes.*'ENSMUSG00000000001'.*'ENSG00000000001'.*same species"
    with pytest.raises(GeneError, match=wanted):
        load_checkpoint(folder, [*mouse[:7], *GENES[7:]], N_CLASSES, 0)
    some = load_checkpoint(folder, [*mouse[:7], *GENES[7:]], N_CLASSES, 0, min_known=0.4)
    assert len(some.dropped) == 7


def without(name):
    return {key: value for key, value in bert_values().items() if key != name}


LAST = "encoder.layer.2.output.dense.weight"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"config": bert_config(model_type="gpt2")}, r"config\.json: model_type: .*'bert'"),
        ({"config": bert_config(hidden_act="gelu_new")}, r"hidden_act: .*'gelu' or 'relu'"),
        (
            {"config": bert_config(position_embedding_type="relative_key")},
            r"position_embedding_type: .*'absolute'",
        ),
        ({"config": bert_config(num_attention_heads=3)}, r"3 heads do not divide a width of 8"),
        ({"config": bert_config(hidden_size=None)}, r"hidden_size: .*integer"),
        (
            {"config": bert_config(intermediate_size=13)},
            r"is \(12, 8\), and config.json wants \(13",
        ),
        ({"config": bert_config(num_hidden_layers=4)}, r"encoder\.layer\.3\S+ is missing"),
        ({"values": without(LAST)}, rf"{LAST} is missing.*one BERT model"),
        ({"token_dictionary": None}, r"token_dictionary\.json is not there.*t\.gene_token_dict"),
        ({"gene_median_dictionary": None}, r"gene_median\S+ is not there.*t\.gene_median_dict"),
        ({"token_dictionary_gc95M": TOKENS}, r"has token_dictionary\.json, token_dictionary_gc95M"),
        (
            {"token_dictionary": [1, 2]},
            r"token_dictionary\.json: the file: Input should be an object",
        ),
        ({"token_dictionary": TOKENS | {"A": "b"}}, r"token_dictionary\.json: A: .*integer"),
        ({"token_dictionary": TOKENS | {"A": -1}}, r"token -1 of A is below 0"),
        ({"token_dictionary": TOKENS | {GENES[0]: 21}}, r"has token 21 and the model 21 tokens"),
        ({"gene_median_dictionary": MEDIANS | {"A": 0}}, r"median of A is 0, and 1 of 13 are not"),
    ],
)
def test_a_wrong_folder_says_what_is_wrong(tmp_path, changed, message):
    with pytest.raises(InputError, match=message):
        load_checkpoint(write_folder(tmp_path, **changed), GENES, N_CLASSES, 0)


def test_a_folder_without_its_files_or_with_damaged_ones(tmp_path):
    with pytest.raises(InputError, match=r"nowhere is no folder"):
        load_checkpoint(tmp_path / "nowhere", GENES, N_CLASSES, 0)
    folder = write_folder(tmp_path / "checkpoint")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"model\.safetensors cannot be read.*copy it again"):
        load_checkpoint(folder, GENES, N_CLASSES, 0)
    # The formats that can run code are not opened, whatever they are called.
    weights.rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"is not there.*could run code.*save_pretrained"):
        load_checkpoint(folder, GENES, N_CLASSES, 0)
    (folder / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json: the file: Invalid JSON"):
        load_checkpoint(folder, GENES, N_CLASSES, 0)
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match=r"config\.json is not there; copy it again"):
        load_checkpoint(folder, GENES, N_CLASSES, 0)
    (folder / "token_dictionary.json").rename(folder / "token_dictionary.pkl")
    with pytest.raises(InputError, match=r"json\.dump\(t\.gene_token_dict"):
        load_checkpoint(folder, GENES, N_CLASSES, 0)


def test_dictionaries_may_bear_their_corpus_in_the_name(tmp_path):
    expected = load_checkpoint(write_folder(tmp_path / "plain"), GENES, N_CLASSES, 0)
    folder = write_folder(
        tmp_path / "named",
        token_dictionary=None,
        token_dictionary_gc95M=json.loads(json.dumps(SPECIAL | TOKENS)),
    )
    other = load_checkpoint(folder, GENES, N_CLASSES, 0)
    assert other.shape == expected.shape
    np.testing.assert_array_equal(other.state["gene.weight"], expected.state["gene.weight"])

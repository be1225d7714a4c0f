"""BERT by its equations, in numpy and one sequence at a time, so without any padding."""

import numpy as np
from scipy.special import erf, softmax

EPSILON = 1e-12
ACTIVATIONS = {
    "gelu": lambda x: x * (1 + erf(x / np.sqrt(2))) / 2,
    "relu": lambda x: np.maximum(x, 0),
}
# Of a layer, in transformers and here.
PARTS = {
    "attention.self.query": "query",
    "attention.self.key": "key",
    "attention.self.value": "value",
    "attention.output.dense": "attention_output",
    "attention.output.LayerNorm": "attention_norm",
    "intermediate.dense": "hidden",
    "output.dense": "output",
    "output.LayerNorm": "output_norm",
}


def linear(state, name, x):
    return x @ state[f"{name}.weight"].T + state.get(f"{name}.bias", 0.0)


def normed(state, name, x):
    x = x - x.mean(axis=-1, keepdims=True)
    x = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + EPSILON)
    return x * state[f"{name}.weight"] + state[f"{name}.bias"]


def layer(state, prefix, h, n_heads, activation, names):
    """One layer over tokens (n_tokens, width); ``names`` says what transformers' names are here."""
    at = {theirs: f"{prefix}.{name}" for theirs, name in names.items()}
    query, key, value = (
        np.split(linear(state, at[f"attention.self.{part}"], h), n_heads, axis=1)
        for part in ("query", "key", "value")
    )
    heads = [
        softmax(q @ k.T / np.sqrt(q.shape[1]), axis=1) @ v
        for q, k, v in zip(query, key, value, strict=True)
    ]
    attended = linear(state, at["attention.output.dense"], np.concatenate(heads, axis=1))
    h = normed(state, at["attention.output.LayerNorm"], h + attended)
    hidden = ACTIVATIONS[activation](linear(state, at["intermediate.dense"], h))
    return normed(state, at["output.LayerNorm"], h + linear(state, at["output.dense"], hidden))


def bert(state, tokens, n_layers, n_heads, activation):
    """transformers' ``BertModel`` for one sequence: its last tokens (n_tokens, width)."""
    h = state["embeddings.word_embeddings.weight"][tokens]
    h = h + state["embeddings.position_embeddings.weight"][: len(tokens)]
    h = h + state["embeddings.token_type_embeddings.weight"][0]
    h = normed(state, "embeddings.LayerNorm", h)
    for i in range(n_layers):
        same = {name: name for name in PARTS}
        h = layer(state, f"encoder.layer.{i}", h, n_heads, activation, same)
    return h


def ranked(cell, typical, max_tokens):
    """A cell's genes by a sort in plain Python, which keeps the order of ties."""
    genes = [g for g in range(len(cell)) if cell[g] > 0 and typical[g] > 0]
    return sorted(genes, key=lambda g: -np.expm1(cell[g]) / typical[g])[:max_tokens]


def transformer_logits(state, x, shape):
    """Logits of our transformer, one cell at a time; ``x`` is (n_cells, n_genes)."""
    n_genes, logits = x.shape[1], []
    for cell in x:
        genes = ranked(cell, state["typical"], shape.max_tokens)
        values = list(cell[genes])
        if shape.ends:
            genes, values = [n_genes, *genes, n_genes + 1], [0, *values, 0]
        if not genes:
            logits.append(state["head.bias"])
            continue
        h = state["gene.weight"][genes] + state["rank.weight"][: len(genes)]
        if shape.values:
            hidden = np.maximum(linear(state, "value.0", np.array(values)[:, None]), 0)
            h = h + linear(state, "value.2", hidden)
        h = normed(state, "norm", h)
        for i in range(shape.n_layers):
            h = layer(state, f"layers.{i}", h, shape.n_heads, shape.activation, PARTS)
        first = shape.pooling == "first"
        pooled = np.tanh(linear(state, "pooler", h[0])) if first else h.mean(axis=0)
        logits.append(linear(state, "head", pooled))
    return np.stack(logits)

"""Folders of small checkpoints, as ``transformers`` saves a BERT model, with gene dictionaries."""

import json

import numpy as np
from safetensors.numpy import save_file

WIDTH, N_LAYERS, N_HEADS, FEED_FORWARD, N_RANKS = 8, 3, 2, 12, 16
GENES = [f"ENSG{i:011d}" for i in range(1, 13)]
SYMBOLS = [f"GENE{i}" for i in range(1, 13)]
SPECIAL = {"<pad>": 0, "<mask>": 1, "<cls>": 2, "<eos>": 3}
# More tokens than a run has genes, and in another order.
TOKENS = {gene: 4 + (5 * i) % 17 for i, gene in enumerate(GENES)}
N_TOKENS = 21
# <cls>, some genes, <eos>.
SEQUENCE = [2, 14, 4, 9, 19, 7, 3]
MEDIANS = {gene: 1 + i / 4 for i, gene in enumerate(GENES)}


def bert_config(**changes):
    config = {
        "architectures": ["BertForMaskedLM"],
        "model_type": "bert",
        "vocab_size": N_TOKENS,
        "hidden_size": WIDTH,
        "num_hidden_layers": N_LAYERS,
        "num_attention_heads": N_HEADS,
        "intermediate_size": FEED_FORWARD,
        "max_position_embeddings": N_RANKS,
        "type_vocab_size": 2,
        "hidden_act": "relu",
        "hidden_dropout_prob": 0.02,
        "attention_probs_dropout_prob": 0.03,
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
    }
    return config | changes


def bert_values(pooler=True):
    """Every tensor of a bare ``BertModel``: sines, the same wherever they are made."""
    shapes = {
        "embeddings.word_embeddings.weight": (N_TOKENS, WIDTH),
        "embeddings.position_embeddings.weight": (N_RANKS, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        "embeddings.LayerNorm.weight": (WIDTH,),
        "embeddings.LayerNorm.bias": (WIDTH,),
    }
    linear = {
        "attention.self.query": (WIDTH, WIDTH),
        "attention.self.key": (WIDTH, WIDTH),
        "attention.self.value": (WIDTH, WIDTH),
        "attention.output.dense": (WIDTH, WIDTH),
        "attention.output.LayerNorm": (WIDTH,),
        "intermediate.dense": (FEED_FORWARD, WIDTH),
        "output.dense": (WIDTH, FEED_FORWARD),
        "output.LayerNorm": (WIDTH,),
    }
    linear = {f"encoder.layer.{i}.{k}": v for i in range(N_LAYERS) for k, v in linear.items()}
    if pooler:
        linear["pooler.dense"] = (WIDTH, WIDTH)
    for name, shape in linear.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    values, start = {}, 1
    for name, shape in shapes.items():
        n = int(np.prod(shape))
        steps = np.arange(start, start + n, dtype=np.float64)
        norm = name.endswith("LayerNorm.weight")
        values[name] = (0.8 * np.sin(steps**1.5) + norm).reshape(shape).astype(np.float32)
        start += n
    return values


def write_folder(folder, *, config=None, values=None, prefix="", ends=True, **files):
    """A whole folder; ``files`` are further JSON files by name, ``None`` leaves one out."""
    folder.mkdir(exist_ok=True)
    tensors = {prefix + name: value for name, value in (values or bert_values()).items()}
    save_file(tensors, folder / "model.safetensors")
    special = SPECIAL if ends else {name: SPECIAL[name] for name in ("<pad>", "<mask>")}
    content = {
        "config": config or bert_config(),
        "token_dictionary": special | TOKENS,
        "gene_median_dictionary": MEDIANS,
    }
    for name, value in (content | files).items():
        if value is not None:
            (folder / f"{name}.json").write_text(json.dumps(value))
    return folder

"""A BERT model's sizes and tensors as ``transformers`` saves it, under this package's names."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, Field

from common.errors import InputError
from common.models.classifiers.checkpoint_json import read_json

# Of ``layers.<i>`` here, of ``encoder.layer.<i>`` there. Keys have no bias here: see BertLayer.
_LAYER = {
    "query.weight": "attention.self.query.weight",
    "query.bias": "attention.self.query.bias",
    "key.weight": "attention.self.key.weight",
    "value.weight": "attention.self.value.weight",
    "value.bias": "attention.self.value.bias",
    "attention_output.weight": "attention.output.dense.weight",
    "attention_output.bias": "attention.output.dense.bias",
    "attention_norm.weight": "attention.output.LayerNorm.weight",
    "attention_norm.bias": "attention.output.LayerNorm.bias",
    "hidden.weight": "intermediate.dense.weight",
    "hidden.bias": "intermediate.dense.bias",
    "output.weight": "output.dense.weight",
    "output.bias": "output.dense.bias",
    "output_norm.weight": "output.LayerNorm.weight",
    "output_norm.bias": "output.LayerNorm.bias",
}


class BertConfig(BaseModel):
    """What of a ``config.json`` fixes the network; the defaults are those of ``transformers``."""

    model_type: Literal["bert"]
    hidden_size: int = Field(gt=0)
    num_hidden_layers: int = Field(gt=0)
    num_attention_heads: int = Field(gt=0)
    intermediate_size: int = Field(gt=0)
    max_position_embeddings: int = Field(gt=2)
    hidden_act: Literal["gelu", "relu"] = "gelu"
    hidden_dropout_prob: float = Field(0.1, ge=0, lt=1)
    attention_probs_dropout_prob: float = Field(0.1, ge=0, lt=1)
    layer_norm_eps: float = Field(1e-12, ge=0)
    position_embedding_type: Literal["absolute"] = "absolute"
    is_decoder: Literal[False] = False


@dataclass(frozen=True)
class BertTensors:
    """A saved model.

    Parameters
    ----------
    folder
        Where it was read.
    config
        Its sizes.
    tensors
        Its values by the names that ``transformers`` gives them in a bare ``BertModel``.
    """

    folder: Path
    config: BertConfig
    tensors: dict[str, torch.Tensor]

    @classmethod
    def read(cls, folder: Path) -> "BertTensors":
        """Read ``config.json`` and ``model.safetensors``.

        Raises
        ------
        InputError
            One is missing, damaged, or of another kind of model.
        """
        # Only a run with a checkpoint needs it.
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        config = read_json(folder / "config.json", BertConfig)
        if config.hidden_size % config.num_attention_heads:
            raise InputError(
                f"{folder / 'config.json'}: {config.num_attention_heads} heads do not divide a "
                f"width of {config.hidden_size}: take the file that belongs to the model"
            )
        path = folder / "model.safetensors"
        if not path.is_file():
            raise InputError(
                f"{path} is not there, and a checkpoint in another format is not opened: it could "
                "run code; convert it where you trust it, with transformers' "
                "AutoModel.from_pretrained(FOLDER).save_pretrained(FOLDER)"
            )
        try:
            tensors = load_file(path)
        except (SafetensorError, OSError) as error:
            raise InputError(f"{path} cannot be read: {error}; copy it again") from error
        return cls(folder, config, {k.removeprefix("bert."): v for k, v in tensors.items()})

    @property
    def vocabulary_size(self) -> int:
        """Tokens that have an embedding."""
        return len(self.take("embeddings.word_embeddings.weight", -1, self.config.hidden_size))

    def take(self, name: str, *shape: int) -> torch.Tensor:
        """A tensor; -1 in ``shape`` is any length.

        Raises
        ------
        InputError
            It is missing or of another shape.
        """
        value = self.tensors.get(name)
        found = None if value is None else tuple(value.shape)
        fits = found is not None and len(found) == len(shape)
        if not fits or any(b not in (-1, a) for a, b in zip(found, shape, strict=True)):
            has = "is missing" if found is None else f"is {found}"
            raise InputError(
                f"{self.folder / 'model.safetensors'}: {name} {has}, and config.json wants "
                f"{shape}: take both files from one BERT model"
            )
        return value


def encoder_state(saved: BertTensors, tokens: np.ndarray, n_ranks: int) -> dict[str, torch.Tensor]:
    """The values of a :class:`~common.models.classifiers.transformer.Transformer` but its head's.

    Parameters
    ----------
    tokens
        Token of each embedding that is kept, in order, (n_genes + n_ends,); below 0, zeros.
    n_ranks
        Positions that are kept, from the first on.

    Raises
    ------
    InputError
        A tensor is missing or of another shape.
    """
    config, width, hidden = saved.config, saved.config.hidden_size, saved.config.intermediate_size
    words = saved.take("embeddings.word_embeddings.weight", -1, width)
    kept = words[torch.from_numpy(tokens.clip(0))]
    kept[torch.from_numpy(tokens < 0)] = 0
    ranks = saved.take(
        "embeddings.position_embeddings.weight", config.max_position_embeddings, width
    )
    # Every token is of the first type: its embedding is added to each rank's for good.
    types = saved.take("embeddings.token_type_embeddings.weight", -1, width)
    state = {
        "gene.weight": kept,
        "rank.weight": ranks[:n_ranks] + types[0],
        "norm.weight": saved.take("embeddings.LayerNorm.weight", width),
        "norm.bias": saved.take("embeddings.LayerNorm.bias", width),
    }
    widths = {"hidden.weight": (hidden, width), "hidden.bias": (hidden,)}
    widths["output.weight"] = (width, hidden)
    for i in range(config.num_hidden_layers):
        for ours, theirs in _LAYER.items():
            square = (width, width) if ours.endswith("weight") and "norm" not in ours else (width,)
            shape = widths.get(ours, square)
            state[f"layers.{i}.{ours}"] = saved.take(f"encoder.layer.{i}.{theirs}", *shape)
    # A model trained on masked genes has none.
    if "pooler.dense.weight" in saved.tensors:
        state["pooler.weight"] = saved.take("pooler.dense.weight", width, width)
        state["pooler.bias"] = saved.take("pooler.dense.bias", width)
    return state

"""A checkpoint of Geneformer's form, as a classifier over a run's genes.

A folder with

- ``config.json`` and ``model.safetensors`` of a BERT model, whatever its task, as ``transformers``
  writes them;
- ``token_dictionary*.json``, from gene to token, and ``gene_median_dictionary*.json``, from gene to
  its non-zero median in CP10k over the corpus; Geneformer's are by Ensembl id;
- optionally ``gene_name_id*.json``, from symbol to Ensembl id, for sites that use symbols.

What is made of it depends on the folder no more: of the embeddings only the run's genes are kept.

References
----------
Theodoris et al. 2023 (Geneformer), doi:10.1038/s41586-023-06139-9; its format is that of
https://huggingface.co/ctheodoris/Geneformer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from common.errors import GeneError, InputError
from common.models.classifiers.bert_tensors import BertTensors, encoder_state
from common.models.classifiers.build import build_classifier
from common.models.classifiers.gene_dictionaries import GeneDictionaries
from common.models.classifiers.transformer import TransformerShape
from common.models.state import State, state_of

ENDS = ("<cls>", "<eos>")
MIN_KNOWN = 0.5


@dataclass(frozen=True)
class Checkpoint:
    """What :func:`~common.models.classifiers.build.restore_classifier` makes a transformer of.

    Parameters
    ----------
    shape
        Its sizes, and the parts that are trained.
    state
        Its values by name; the head's are drawn anew.
    dropped
        Genes of the run that the dictionaries do not have: they are never tokens.
    """

    shape: TransformerShape
    state: State
    dropped: tuple[str, ...]


def load_checkpoint(
    folder: Path,
    genes: Sequence[str],
    n_classes: int,
    seed: int,
    *,
    trained: Sequence[str] | None = None,
    max_tokens: int = 2048,
    min_known: float = MIN_KNOWN,
) -> Checkpoint:
    """The checkpoint in ``folder`` over a run's genes.

    Parameters
    ----------
    genes
        The model's genes, in its order: symbols or Ensembl ids, versioned or not. Of two with the
        same token the first is kept.
    n_classes
        Classes of the agreed vocabulary.
    seed
        Of the head, and of the pooler where the checkpoint has none.
    trained
        See :class:`~common.models.classifiers.transformer.TransformerShape`; by default, as in
        scFed, the last two layers, the pooler and the head.
    max_tokens
        Genes of a cell, fewer if the checkpoint has fewer ranks.
    min_known
        Share of ``genes`` that the dictionaries must have.

    Raises
    ------
    InputError
        A file is missing, damaged, or of another kind of model.
    GeneError
        The dictionaries have too few of the genes.
    ConfigError
        ``trained`` names a part that there is not.
    """
    dictionaries = GeneDictionaries.read(folder)
    tensors = BertTensors.read(folder)
    tokens_G, typical_G = dictionaries.look_up(genes)
    known_G = tokens_G >= 0
    if known_G.mean() < min_known:
        raise GeneError(
            f"{folder}: its dictionaries have {int(known_G.sum()):,} of the run's {len(genes):,} "
            f"genes and {min_known:.0%} are needed (the run has {_example(genes)}, the dictionary "
            f"{_example(dictionaries.tokens)}); {dictionaries.mend(genes)}"
        )
    ends = [dictionaries.tokens[end] for end in ENDS if end in dictionaries.tokens]
    ends = ends if len(ends) == len(ENDS) else []
    rows = np.concatenate([tokens_G, np.array(ends, dtype=np.int64)])
    if rows.max() >= tensors.vocabulary_size:
        raise InputError(
            f"{folder}: the dictionary has token {rows.max()} and the model "
            f"{tensors.vocabulary_size} tokens: take the dictionary that belongs to the model"
        )
    config = tensors.config
    shape = TransformerShape(
        width=config.hidden_size,
        n_layers=config.num_hidden_layers,
        n_heads=config.num_attention_heads,
        feed_forward=config.intermediate_size,
        max_tokens=min(max_tokens, config.max_position_embeddings - len(ends), len(genes)),
        ends=bool(ends),
        values=False,
        pooling="first",
        activation=config.hidden_act,
        dropout=config.hidden_dropout_prob,
        attention_dropout=config.attention_probs_dropout_prob,
        epsilon=config.layer_norm_eps,
        trained=_last_layers(config.num_hidden_layers) if trained is None else tuple(trained),
    )
    fresh = state_of(build_classifier("transformer", shape, len(genes), n_classes, seed))
    kept = encoder_state(tensors, rows, n_ranks=len(fresh["rank.weight"]))
    kept["typical"] = torch.from_numpy(typical_G)
    read = {name: value.float().numpy() for name, value in kept.items()}
    dropped = tuple(gene for gene, known in zip(genes, known_G, strict=True) if not known)
    return Checkpoint(shape, fresh | read, dropped)


def _last_layers(n_layers: int) -> tuple[str, ...]:
    layers = range(max(n_layers - 2, 0), n_layers)
    return (*(f"layers.{i}" for i in layers), "pooler", "head")


def _example(names: Sequence[str]) -> str:
    return repr(next((name for name in names if not name.startswith("<")), ""))

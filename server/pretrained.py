"""A run's classifier that comes from a checkpoint, which the coordinator alone has."""

from pathlib import Path

from common.config import RunConfig
from common.errors import ConfigError
from common.models.classifiers.geneformer_checkpoint import Checkpoint, load_checkpoint
from common.panel import Panel


def checkpoint_folder(config: RunConfig) -> Path:
    """The folder that the run config names.

    Raises
    ------
    ConfigError
        It is relative, or no folder.
    """
    folder = Path(config.checkpoint).expanduser()
    if not folder.is_absolute():
        raise ConfigError(f"checkpoint = {config.checkpoint!r}: `flwr run` needs an absolute path")
    if not folder.is_dir():
        raise ConfigError(
            f"checkpoint = {config.checkpoint!r} is no folder at the coordinator: give the one "
            "with config.json, model.safetensors and the gene dictionaries"
        )
    return folder


def pretrained(config: RunConfig, panel: Panel, n_classes: int) -> Checkpoint:
    """The checkpoint over the run's genes; raises as :func:`load_checkpoint`."""
    return load_checkpoint(
        checkpoint_folder(config),
        panel.genes,
        n_classes,
        config.seed,
        trained=config.trained_parts,
    )

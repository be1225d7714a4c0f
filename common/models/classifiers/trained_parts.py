"""Which parts of a classifier are trained and exchanged, by the beginning of their names."""

from collections.abc import Sequence

from torch import nn

from common.errors import ConfigError
from common.registry import did_you_mean


def parts_of(model: nn.Module) -> list[str]:
    """Names that a part may have: of each block, and of each layer of a list of them."""
    parts: list[str] = []
    for name, block in model.named_children():
        if next(block.parameters(), None) is not None:
            of_list = isinstance(block, nn.ModuleList)
            parts += [f"{name}.{i}" for i in range(len(block))] if of_list else [name]
    return parts


def train_only(model: nn.Module, parts: Sequence[str], name: str) -> None:
    """Leave gradients to the named parts of a classifier called ``name``; to all, if none is.

    Raises
    ------
    ConfigError
        There is no such part.
    """
    if not parts:
        return
    names = [parameter for parameter, _ in model.named_parameters()]
    for part in parts:
        if not any(_within(parameter, part) for parameter in names):
            known = did_you_mean(part, parts_of(model))
            raise ConfigError(f"{name} has no part {part!r} to train: {known}")
    for parameter, value in model.named_parameters():
        value.requires_grad_(any(_within(parameter, part) for part in parts))


def _within(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")

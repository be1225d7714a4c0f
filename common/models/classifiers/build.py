"""A classifier over a number of genes and the classes of a vocabulary."""

from collections.abc import Sequence
from typing import Any

import torch

from common.errors import ConfigError
from common.models.classifiers.classifier import Classifier
from common.models.classifiers.registry import CLASSIFIERS
from common.models.classifiers.trained_parts import train_only
from common.models.state import State, load_state
from common.registry import did_you_mean


def shape_of(name: str, form: str = "published") -> Any:
    """The shape of one of a classifier's forms: as published, or with less in it.

    Raises
    ------
    ConfigError
        No classifier or none of its forms is called so.
    """
    forms = CLASSIFIERS.get(name).forms
    if form not in forms:
        raise ConfigError(f"{name} has no form {form!r}: {did_you_mean(form, forms)}")
    return forms[form]


def build_classifier(name: str, shape: Any, n_genes: int, n_classes: int, seed: int) -> Classifier:
    """A fresh classifier on the CPU; the same seed gives the same values.

    Raises
    ------
    ConfigError
        The name is unknown, or there are not two classes to tell apart.
    """
    _at_least_two(n_classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _network(name)(n_genes, n_classes, shape)


def restore_classifier(
    name: str,
    shape: Any,
    n_genes: int,
    n_classes: int,
    state: State,
    parts: Sequence[str] = (),
) -> Classifier:
    """A classifier on the CPU with the values of ``state``.

    Parameters
    ----------
    parts
        Those that are trained, by the beginning of their names; none, all are.

    Raises
    ------
    ConfigError
        The name or a part is unknown, or there are not two classes to tell apart.
    RuntimeError
        A name or a shape of the state does not fit.
    """
    _at_least_two(n_classes)
    # Without storage until the values come, as in common/models/build.py.
    model = _without_values(name, shape, n_genes, n_classes, ())
    load_state(model, state)
    train_only(model, parts, name)
    return model


def trainable_names(
    name: str, shape: Any, n_genes: int, n_classes: int, parts: Sequence[str] = ()
) -> list[str]:
    """What training changes by gradients; the rest of a state is buffers, or not trained."""
    parameters = _without_values(name, shape, n_genes, n_classes, parts).named_parameters()
    return [name for name, parameter in parameters if parameter.requires_grad]


def exchanged_names(
    name: str, shape: Any, n_genes: int, n_classes: int, parts: Sequence[str] = ()
) -> list[str]:
    """What of a state training changes: the rest is the same at every site and in every round.

    ``parts`` are as in :func:`restore_classifier`, whose errors it raises.
    """
    return _without_values(name, shape, n_genes, n_classes, parts).exchanged_names()


def _without_values(
    name: str, shape: Any, n_genes: int, n_classes: int, parts: Sequence[str]
) -> Classifier:
    with torch.device("meta"):
        model = _network(name)(n_genes, n_classes, shape)
    train_only(model, parts, name)
    return model


def _network(name: str) -> type[Classifier]:
    entry = CLASSIFIERS.get(name)
    if entry.fitted == "trees":
        raise ConfigError(
            f"{name} is a forest of trees and no network: common/boosting grows it from sums"
        )
    return entry


def _at_least_two(n_classes: int) -> None:
    if n_classes < 2:
        raise ConfigError(
            f"the agreed vocabulary has {n_classes} cell type(s): a classifier needs at least 2; "
            "check cell-type-key, or lower what a type needs to enter the vocabulary"
        )

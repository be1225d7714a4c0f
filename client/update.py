"""What a round of training sends: the site's share of the mean change of the model, and losses."""

from typing import Protocol

import numpy as np

from client.outbox import Outbox
from client.site import Site
from common.errors import UpdateError
from common.models.state import State, not_finite
from common.strategy_names import READS
from common.wire import phase_of
from strategies.records import Request


class Training(Protocol):
    """What a training says of what a site sends."""

    learning_rate: float
    weighting: str


def send_update(
    site: Site,
    request: Request,
    outbox: Outbox,
    training: Training,
    update: np.ndarray,
    *,
    made: State,
    n_train: int,
    train_loss: float,
    n_validation: int,
    validation_loss: float,
) -> None:
    """Contribute this site's share, if it is fit to be added.

    Parameters
    ----------
    update
        (n_values,), a change of the model, or minus a gradient.
    made
        What it is made of, by name: an error says which values are not finite.
    train_loss
        Mean over training cells.
    validation_loss
        Sum over validation cells.

    Raises
    ------
    UpdateError
        A value is not finite, or changed by more than the sum takes.
    """
    values = request.values
    losses = {"train_loss": np.array(train_loss), "validation_loss": np.array(validation_loss)}
    bound, fault = phase_of(outbox.phase).masked()["update"].bound, ""
    if broken := not_finite({**made, **losses}):
        fault = f"not finite are {broken}"
    elif max(update.max(), -update.min()) > bound:
        fault = f"a value changed by more than {bound:g}"
    if fault:
        server = "server_learning_rate" in READS[site.config.strategy_name]
        raise UpdateError(
            f"training diverged in round {values['round']}: {fault}; lower "
            f"learning-rate, which is {training.learning_rate:g}"
            f"{', or server-learning-rate' if server else ''}"
        )
    outbox.masked("n_train", n_train)
    outbox.masked("n_validation", n_validation)
    equal = training.weighting == "sites"
    outbox.masked("update", update, 1.0 if equal else n_train / values["n_cells"])
    outbox.masked("train_loss", train_loss * n_train)
    outbox.masked("validation_loss", validation_loss)

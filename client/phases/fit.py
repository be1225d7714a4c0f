"""fit: validation loss of the received model, then local training, or the gradient."""

import time

from client.carbon import fewer_epochs
from client.model import received_model
from client.outbox import Outbox
from client.precision import precision_at
from client.site import Site
from client.update import send_update
from common.errors import InputError
from common.gradient import cells_of_step, descent
from common.models.pruned_weights import hold_zeros
from common.models.state import change, state_of, vector_of
from common.training import evaluation_loss, fit
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Contribute this site's share of the weighted mean change of the model, or of its gradient."""
    values, panel = request.values, request.panel
    model, preset, device = received_model(site, request)
    training = fewer_epochs(site, preset.training, outbox)
    matrix, split = site.matrix(panel), site.split(training.validation_share)
    n_train, n_validation = len(split.train), len(split.validation)
    if n_train < 2:
        raise InputError(f"{site.file.path}: {n_train} cells are left for training; give more")
    start = time.perf_counter()
    validation_loss = evaluation_loss(model, matrix, split.validation, training, device)
    training_from = time.perf_counter()
    # Of what the message has alone: nothing else is trained.
    name, kept, sent = site.config.strategy_name, request.kept, request.arrays("model")
    drawn = {"round_": values["round"], "seed": site.config.seed}
    how = {"device": device, "precision": precision_at(site, device, outbox)}
    if name == "fedsgd":
        rows = cells_of_step(split.train, training, values["n_cells"], **drawn)
        made, train_loss = descent(model, matrix, rows, training, **drawn, **how)
        update = vector_of(kept.thin(made), sent)
    else:
        mu = site.config.proximal_mu if name == "fedprox" else 0.0
        hold_zeros(model, kept)
        train_loss = fit(model, matrix, split.train, training, proximal_mu=mu, **drawn, **how)
        state = state_of(model)
        made = kept.thin({name: state[name] for name in sent})
        update = change(made, sent)
    ended = time.perf_counter()
    outbox.local(
        fitting_seconds=round(ended - start, 4), training_seconds=round(ended - training_from, 4)
    )
    send_update(
        site,
        request,
        outbox,
        training,
        update,
        made=made,
        n_train=n_train,
        train_loss=train_loss,
        n_validation=n_validation,
        validation_loss=validation_loss,
    )

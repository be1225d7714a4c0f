"""classifier_fit: validation where it is due, then training, or the gradient."""

import time
from dataclasses import replace

import numpy as np
import torch

from client.carbon import fewer_epochs
from client.classifier import device_of, received_plan, received_state
from client.labelled_cells import LabelledCells, labelled_cells
from client.outbox import Outbox
from client.precision import precision_at
from client.site import Site
from client.update import send_update
from common.classification.codes import class_counts
from common.classification.plan import ClassifierPlan
from common.classification.training import (
    class_balance,
    class_logits,
    classifier_descent,
    fit_classifier,
    loss_sum,
)
from common.classification.validation import validation_counts
from common.data.matrix import ExpressionMatrix
from common.gradient import cells_of_step
from common.mini_batches import seed_at
from common.models.classifiers.build import restore_classifier
from common.models.classifiers.class_balance import ClassBalance
from common.models.classifiers.classifier import Classifier
from common.models.pruned_weights import hold_zeros
from common.models.state import State, change, state_of, vector_of
from common.precision import Precision
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Contribute this site's share of the mean change of the classifier, or of its gradient.

    Counts and losses of a round that does not validate are zeros.
    """
    logits, truth = fit(site, request, outbox)
    for name, count in validation_counts(logits, truth).items():
        outbox.masked(name, count)


def fit(site: Site, request: Request, outbox: Outbox) -> tuple[np.ndarray, np.ndarray]:
    """All that is sent but the counts by class; logits and classes of the validation cells."""
    plan, device = received_plan(site, request), device_of(site)
    plan = replace(plan, training=fewer_epochs(site, plan.training, outbox))
    cells = labelled_cells(site, request.values["vocabulary"])
    matrix, state = site.matrix(request.panel), received_state(site, request)
    size = matrix.shape[1], cells.n_classes
    model = restore_classifier(plan.name, plan.shape, *size, state, plan.trained)
    start = time.perf_counter()
    validates = plan.training.validates(request.values["round"])
    held_out = cells.classed(cells.validation if validates else cells.validation[:0])
    logits = class_logits(model, matrix, held_out, plan.training, device)
    truth, pooled = cells.codes[held_out], np.array(request.values["counts"])
    balance = class_balance(
        plan.training, class_counts(cells.codes[cells.train], cells.n_classes), pooled
    )
    weights = None if balance.weights is None else balance.weights.numpy()
    validation_loss = loss_sum(model, logits, truth, weights)
    training_from = time.perf_counter()
    made, update, train_loss = _train(
        site,
        request,
        plan,
        model,
        matrix,
        cells,
        balance=balance,
        device=device,
        precision=precision_at(site, device, outbox),
    )
    ended = time.perf_counter()
    outbox.local(
        fitting_seconds=round(ended - start, 4), training_seconds=round(ended - training_from, 4)
    )
    send_update(
        site,
        request,
        outbox,
        plan.training,
        update,
        made=made,
        n_train=len(cells.train),
        train_loss=train_loss,
        n_validation=len(held_out),
        validation_loss=validation_loss,
    )
    return logits, truth


def _train(
    site: Site,
    request: Request,
    plan: ClassifierPlan,
    model: Classifier,
    matrix: ExpressionMatrix,
    cells: LabelledCells,
    *,
    balance: ClassBalance,
    device: torch.device,
    precision: Precision,
) -> tuple[State, np.ndarray, float]:
    """What was made, by name and as one vector, and the training loss.

    Of what the message has alone: nothing else is trained.
    """
    name, kept, sent = site.config.strategy_name, request.kept, request.arrays("model")
    drawn = {"round_": request.values["round"], "seed": seed_at(site.name, site.config.seed)}
    how = {**drawn, "balance": balance, "device": device, "precision": precision}
    if name == "fedsgd":
        rows = cells_of_step(cells.train, plan.training, request.values["n_cells"], **drawn)
        made, loss = classifier_descent(model, matrix, cells.codes, rows, plan.training, **how)
        return made, vector_of(kept.thin(made), sent), loss
    mu = site.config.proximal_mu if name == "fedprox" else 0.0
    hold_zeros(model, kept)
    loss = fit_classifier(
        model, matrix, cells.codes, cells.train, plan.training, proximal_mu=mu, **how
    )
    state = state_of(model)
    made = kept.thin({name: state[name] for name in sent})
    return made, change(made, sent), loss

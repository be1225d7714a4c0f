"""Every field of `classify` that may leave a site: a part of the table in common/wire.py."""

from common.wire_fields import MAX_CELLS, Masked, Phase

MAX_LOG1P = 10.0
# Largest gradient of a cell's loss by a weight: expression times a class weight.
MAX_SLOPE = 2.0**7
MAX_LOSS = 1e6 * MAX_CELLS

_BY_CLASS = {
    "n_true": Masked("validation cells", "classes", integer=True),
    "n_named": Masked("answers that name the class", "classes", integer=True),
    "n_right": Masked("validation cells that are answered rightly", "classes", integer=True),
}
_FIT = {
    "n_train": Masked("training cells", "", integer=True),
    "n_validation": Masked("validation cells", "", integer=True),
    "update": Masked(
        "share of training cells, or 1, x change of the model's values, without those that "
        "no training changes or that are pruned; with strategy = fedsgd x minus the "
        "gradient of the loss over a share of its training cells, at least 64 or all",
        "values",
        2.0**12,
        narrow_bound=2.0**6,
    ),
    "train_loss": Masked("training cells x loss", "", MAX_LOSS, wide=True),
    "validation_loss": Masked("validation cells x loss", "", MAX_LOSS, wide=True),
    "n_float32": Masked(
        "1 if it trained in float32 since its device has no bfloat16", "", integer=True
    ),
}

# Sums by class or by gene over other sites than an earlier sum of the run would show a lost site's
# numbers of cells by class, or its moments.
CLASSIFICATION = {
    "labels": Phase(
        "which labels enough sites hold to be classes",
        {
            "n_holders": Masked(
                "1 for each group of labels that it has a cell of", "groups", integer=True
            )
        },
        times=2,
    ),
    "class_counts": Phase(
        "cells by class",
        {
            "n_train": Masked("training cells", "classes", integer=True),
            "n_validation": Masked("validation cells", "", integer=True),
            "n_test": Masked("test cells", "", integer=True),
        },
    ),
    "marker_genes": Phase(
        "sums from which genes that tell classes apart are chosen",
        {
            "sum_log": Masked(
                "training cells' sum of log1p CP10k", "classes x genes", MAX_LOG1P * MAX_CELLS
            ),
            "sum_log_squared": Masked("sum of its square", "genes", MAX_LOG1P**2 * MAX_CELLS),
        },
        may_lose=False,
    ),
    "classifier_fit": Phase(
        "training of a classifier's network, whose start is validated",
        {**_FIT, **_BY_CLASS},
        train=True,
        times=0,
        may_lose=False,
    ),
    "classifier_fit_of_some": Phase(
        "the same where a site may be lost, or is: sums by class would show its cells",
        _FIT,
        train=True,
        times=0,
    ),
    "linear_gradient": Phase(
        "loss of a linear classifier at a point, and its gradient",
        {
            "n_train": Masked("training cells", "", integer=True),
            "loss": Masked("sum of the loss over training cells", "", MAX_LOSS, wide=True),
            "gradient": Masked("its gradient", "values", MAX_SLOPE * MAX_CELLS),
            **_BY_CLASS,
        },
        train=True,
        times=0,
        may_lose=False,
    ),
    "bin_counts": Phase(
        "xgboost: cells by expression, from which bins are chosen",
        {"n_cells": Masked("training cells", "genes x bins", integer=True)},
        may_lose=False,
    ),
    "tree_sums": Phase(
        "xgboost: a level of trees",
        {
            "sums": Masked(
                "gradients and hessians of training cells, packed", "nodes x bins", ring=True
            ),
            "n_validation": Masked("validation cells", "", integer=True),
            "validation_loss": Masked("validation cells x loss", "", MAX_LOSS, wide=True),
            **_BY_CLASS,
        },
        train=True,
        times=0,
        may_lose=False,
    ),
    "bagged_trees": Phase(
        "xgboost, forest = bagging: a round of trees that a site grows by itself; never masked, "
        "only with secure-sum = off",
        {
            "trees": Masked(
                "thresholds, values and genes of its trees, packed", "trees x nodes x 2", ring=True
            ),
            "n_validation": Masked("validation cells", "", integer=True),
            "validation_loss": Masked("validation cells x loss", "", MAX_LOSS, wide=True),
            **_BY_CLASS,
        },
        train=True,
        times=0,
    ),
    "validation": Phase(
        "how good the final classifier is on validation cells",
        _BY_CLASS,
        may_lose=False,
    ),
    "temperature": Phase(
        "at which temperature validation cells are classified as surely as rightly",
        {"losses": Masked("validation cells x loss", "temperatures", MAX_LOSS, wide=True)},
    ),
    "confidences": Phase(
        "validation cells by confidence, for the threshold of unknown",
        {"n_cells": Masked("right and wrong answers", "2 x bins", integer=True)},
    ),
    "held_out": Phase(
        "what the final classifier answers for test cells",
        {
            "confusion": Masked("cells by class and answer", "classes x answers", integer=True),
            "confusion_sure": Masked(
                "the same with answers below the threshold as unknown",
                "classes x answers",
                integer=True,
            ),
            "calibration": Masked("cells, confidence and right answers", "3 x bins of confidence"),
        },
        may_lose=False,
    ),
}

"""A forest in XGBoost's own JSON model format, and back: plain text that runs nothing when read."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from common.boosting.forest import MAX_DEPTH, Forest
from common.errors import InputError

# The version of the format that is written; later XGBoosts read it.
VERSION = [3, 2, 0]
ROOT_PARENT = 2**31 - 1


def save_xgboost(forest: Forest, path: Path, genes: list[str], classes: list[str]) -> None:
    """Write what ``xgboost.Booster().load_model`` reads; the file appears whole.

    XGBoost then predicts the same from dense log1p CP10k and from sparse, whose absent values it
    takes for missing: missing goes where zero does.

    Parameters
    ----------
    genes, classes
        Their names, in the forest's order.

    Raises
    ------
    InputError
        Not a name for every gene and class.
    """
    text = json.dumps(to_json(forest, genes, classes))
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        partial = Path(folder) / path.name
        partial.write_text(text)
        partial.replace(path)


def load_xgboost(path: Path) -> tuple[Forest, list[str], list[str]]:
    """Read a multi-class model of XGBoost, ours or its own.

    Returns
    -------
    forest, genes, classes
        Names that the file does not have are "".

    Raises
    ------
    InputError
        The file is not such a model; it says why.
    """
    try:
        model = json.loads(path.read_text())
        return from_json(model)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; give a model.json") from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise InputError(
            f"{path} is not a JSON model of XGBoost ({type(error).__name__}: {error}); save it "
            "with Booster.save_model('model.json')"
        ) from error


def to_json(forest: Forest, genes: list[str], classes: list[str]) -> dict[str, Any]:
    """The model as XGBoost's JSON has it; see :func:`save_xgboost`."""
    if (len(genes), len(classes)) != (forest.n_genes, forest.n_classes):
        raise InputError(
            f"{len(genes)} genes' and {len(classes)} classes' names for a forest of "
            f"{forest.n_genes} and {forest.n_classes}"
        )
    n_classes = str(forest.n_classes)
    base = ",".join(forest.base_margin.astype(str))
    model = {
        "cats": {"enc": [], "feature_segments": [], "sorted_idx": []},
        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": str(forest.n_trees)},
        "iteration_indptr": forest.round_starts.tolist(),
        "tree_info": forest.tree_class.tolist(),
        "trees": [_tree_json(forest, tree) for tree in range(forest.n_trees)],
    }
    learner = {
        "attributes": {"classes": json.dumps(classes)},
        "feature_names": list(genes),
        "feature_types": ["float"] * len(genes),
        "gradient_booster": {"model": model, "name": "gbtree"},
        "learner_model_param": {
            "base_score": f"[{base}]",
            "boost_from_average": "1",
            "num_class": n_classes,
            "num_feature": str(forest.n_genes),
            "num_target": "1",
        },
        "objective": {
            "name": "multi:softprob",
            "softmax_multiclass_param": {"num_class": n_classes},
        },
    }
    return {"learner": learner, "version": VERSION}


def _floats(values: np.ndarray) -> list[float]:
    """Float32 in the fewest digits that give it back."""
    return values.astype(str).astype(np.float64).tolist()


def _tree_json(forest: Forest, tree: int) -> dict[str, Any]:
    gene = forest.gene[tree]
    splits = np.flatnonzero(gene >= 0)
    # Places in use, and their numbers without gaps; a parent's is always the smaller.
    places = np.sort(np.concatenate([[0], 2 * splits + 1, 2 * splits + 2]))
    number = np.full(len(gene), -1)
    number[places] = np.arange(len(places))
    is_split = gene[places] >= 0
    left, right = (
        np.where(is_split, number[np.where(is_split, 2 * places + side, 0)], -1) for side in (1, 2)
    )
    parents = np.append(ROOT_PARENT, number[(places[1:] - 1) // 2])
    threshold, value = forest.threshold[tree, places], forest.value[tree, places]
    zeros = [0] * len(places)
    return {
        "base_weights": _floats(value),
        "categories": [],
        "categories_nodes": [],
        "categories_segments": [],
        "categories_sizes": [],
        "default_left": (is_split & (threshold > 0)).astype(int).tolist(),
        "id": tree,
        "left_children": left.tolist(),
        "loss_changes": _floats(forest.gain[tree, places]),
        "parents": parents.tolist(),
        "right_children": right.tolist(),
        "split_conditions": _floats(np.where(is_split, threshold, value)),
        "split_indices": np.maximum(gene[places], 0).tolist(),
        "split_type": zeros,
        "sum_hessian": _floats(forest.cover[tree, places]),
        "tree_param": {
            "num_deleted": "0",
            "num_feature": str(forest.n_genes),
            "num_nodes": str(len(places)),
            "size_leaf_vector": "1",
        },
    }


def from_json(model: dict[str, Any]) -> tuple[Forest, list[str], list[str]]:
    """What :func:`to_json` wrote, or XGBoost; see :func:`load_xgboost`."""
    learner = model["learner"]
    booster, objective = learner["gradient_booster"], learner["objective"]["name"]
    if booster["name"] != "gbtree" or objective not in ("multi:softprob", "multi:softmax"):
        raise InputError(
            f"a {booster['name']} model with objective {objective}: only gbtree with "
            "multi:softprob or multi:softmax classifies cells"
        )
    shape, trees = learner["learner_model_param"], booster["model"]["trees"]
    n_classes, n_genes = int(shape["num_class"]), int(shape["num_feature"])
    base = np.array(json.loads(shape["base_score"]), dtype=np.float32)
    base = np.broadcast_to(base, n_classes).copy()
    numbers = [_places(tree) for tree in trees]
    depth = max((int(places.max() + 1).bit_length() - 1 for places in numbers), default=0)
    classes = np.array(booster["model"]["tree_info"], dtype=np.int32)
    if len(classes) != len(trees) or not ((classes >= 0) & (classes < n_classes)).all():
        raise ValueError("tree_info does not name a class for every tree")
    forest = Forest.empty(base, n_genes, max(depth, 1)).one_round(classes)
    for index, (tree, places) in enumerate(zip(trees, numbers, strict=True)):
        _fill(forest, index, tree, places)
    starts = np.array(booster["model"]["iteration_indptr"], dtype=np.int64)
    if starts[0] != 0 or starts[-1] != len(trees) or (np.diff(starts) < 0).any():
        raise ValueError("iteration_indptr does not part the trees into rounds")
    names = learner.get("feature_names") or [""] * n_genes
    named = json.loads(learner["attributes"].get("classes", "[]")) or [""] * n_classes
    if (len(names), len(named)) != (n_genes, n_classes):
        raise ValueError("not a name for every feature and class")
    return replace(forest, round_starts=starts), names, named


def _places(tree: dict[str, Any]) -> np.ndarray:
    """Each node's place in a full binary tree."""
    left, right = tree["left_children"], tree["right_children"]
    places = np.full(len(left), -1, dtype=np.int64)
    waiting = [(0, 0)]
    while waiting:
        node, place = waiting.pop()
        if place + 1 >= 2 ** (MAX_DEPTH + 1):
            raise InputError(
                f"a tree is deeper than {MAX_DEPTH} splits; train it with max_depth={MAX_DEPTH}"
            )
        if places[node] >= 0:
            raise ValueError(f"node {node} has two parents")
        places[node] = place
        if left[node] >= 0:
            waiting += [(left[node], 2 * place + 1), (right[node], 2 * place + 2)]
    return places


def _fill(forest: Forest, index: int, tree: dict[str, Any], places: np.ndarray) -> None:
    """Write one tree of JSON into the forest's arrays."""
    if any(tree["split_type"]) or tree["tree_param"].get("size_leaf_vector", "1") not in "01":
        raise InputError("a tree splits on categories or has leaves of several values")
    condition = np.array(tree["split_conditions"], dtype=np.float32)
    is_split = np.array(tree["left_children"]) >= 0
    # Nodes that pruning left without a place are not reached.
    there = places >= 0
    for name, values in (
        ("gene", np.where(is_split, tree["split_indices"], -1)),
        ("threshold", np.where(is_split, condition, 0)),
        ("value", np.where(is_split, tree["base_weights"], condition)),
        ("gain", tree["loss_changes"]),
        ("cover", tree["sum_hessian"]),
    ):
        getattr(forest, name)[index, places[there]] = np.asarray(values)[there]
    if forest.gene[index].max() >= forest.n_genes:
        raise ValueError(f"tree {index} splits on a feature beyond the last")

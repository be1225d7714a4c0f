"""What the coordinator asks of every site to grow the trees by one level."""

from dataclasses import dataclass, fields

import numpy as np

from common.boosting.forest import FIELDS, Forest

# What sites do not need of the forest, and of it is shown by no message.
_NOT_SENT = ("gain", "cover")


@dataclass(frozen=True)
class Request:
    """A level: the nodes whose gradients the sites sum over their cells in them.

    It holds all trees so far, so that a site needs no memory of earlier requests: some 12 bytes
    for each place of a tree, small beside the sums that come back.

    Parameters
    ----------
    forest
        The finished rounds, and as its last round the trees that are growing.
    slot_tree, slot_node
        The nodes: tree of the last round and place in it, int32 (n_slots,).
    genes
        Rising; the genes that may be split on in this round, int32.
    class_weight
        Weight of a cell of each class, float32 (n_classes,).
    fraction_bits
        See ``common/boosting/gradients.py``.
    """

    forest: Forest
    slot_tree: np.ndarray
    slot_node: np.ndarray
    genes: np.ndarray
    class_weight: np.ndarray
    fraction_bits: int

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays by name, for a message: always the same names and types."""
        arrays = {f"forest/{name}": np.asarray(getattr(self.forest, name)) for name in _SENT}
        return arrays | {name: np.asarray(getattr(self, name)) for name in _OWN}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "Request":
        """The request of :meth:`to_arrays`."""
        sent = {name: arrays[f"forest/{name}"] for name in _SENT}
        sent["n_genes"] = int(sent["n_genes"])
        unsent = {name: np.zeros_like(sent["value"]) for name in _NOT_SENT}
        own = {name: arrays[name] for name in _OWN}
        own["fraction_bits"] = int(own["fraction_bits"])
        return cls(Forest(**sent, **unsent), **own)


_SENT = tuple(name for name in FIELDS if name not in _NOT_SENT)
_OWN = tuple(field.name for field in fields(Request) if field.name != "forest")

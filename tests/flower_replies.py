"""Rounds of training without sites: sums as the secure sum would give them, and replies."""

import numpy as np
from flwr.app import Message

from common.secure.fields import pack
from common.secure.off import OffBackend
from strategies.records import to_record, values_of
from strategies.secure_sum import Summed
from tests.in_process import InProcessGrid

N_CELLS = 100
CONTENT = {"backend": OffBackend(), "run": "7", "min_sites": 1}


def reply_of(node_id: int, content=None) -> Message:
    """A reply to a fit message."""
    # Flower's messages name the run that they belong to.
    InProcessGrid(1, {})
    request = Message(to_record({}, {}), dst_node_id=node_id, message_type="train.fit")
    request.metadata.__dict__["_message_id"] = str(node_id)
    return Message(content or to_record({}, {}), reply_to=request)


def fit_fields(change, n_train: int = N_CELLS) -> dict:
    """What a site contributes that has changed the model by ``change``."""
    share = n_train / N_CELLS
    counts = {"n_train": n_train, "n_validation": 0}
    losses = {"train_loss": 0.5 * n_train, "validation_loss": 0.0, "n_float32": 0.0}
    return {**counts, "update": share * np.asarray(change, dtype=np.float64), **losses}


def one_step(round_of, round_: int, change) -> dict:
    """The state after a round in which the weighted mean change was ``change``."""
    return round_of.step(round_, Summed(fit_fields(change), 3), reply_of(1)).state


def upload_of(node_id: int, change, n_train: int, n_sites: int) -> Message:
    """A site's reply in plain sums."""
    vector, shapes = pack("fit", fit_fields(change, n_train), n_sites)
    content = to_record({"shapes": shapes, "public": {}}, {"upload": {"vector": vector}})
    assert values_of(content)["shapes"]
    return reply_of(node_id, content)

"""What of a model no training changes: sites keep it once and later messages name it by its hash.

On a real site every message is a process of its own, so that it is kept on the site's disk.
"""

import hashlib
import json
from collections.abc import Collection, Mapping

import numpy as np

Values = dict[str, np.ndarray]


def split_values(
    state: Mapping[str, np.ndarray], exchanged: Collection[str]
) -> tuple[Values, Values]:
    """What rounds send, in the order of ``exchanged``, and the rest in the state's."""
    sent = {name: state[name] for name in exchanged}
    return sent, {name: value for name, value in state.items() if name not in sent}


def digest_of_values(values: Mapping[str, np.ndarray]) -> str:
    """A hash of names, types, shapes and bytes, whatever their order; "" of no values."""
    if not values:
        return ""
    digest = hashlib.sha256()
    for name, value in sorted(values.items()):
        value = np.asarray(value, order="C")
        digest.update(json.dumps([name, value.dtype.str, value.shape]).encode())
        digest.update(value.reshape(-1).view(np.uint8))
    return digest.hexdigest()

"""The coordinator's half of the masked sum: it passes keys on and opens sums, and sees no more.

Masks of pairs that both uploaded cancel. What remains is each survivor's self mask, whose seed its
shares give, and for each site that was lost before its upload the masks between it and the
survivors, which its round key gives.
"""

import numpy as np

from common.errors import SecureSumError
from common.secure.backend import SumContext
from common.secure.keys import KeyPair
from common.secure.masked_site import Offer, commitment, pair_mask_key, self_mask_key
from common.secure.masking import add_masks, sum_binding
from common.secure.shares import combine


def open_sum(
    total: np.ndarray,
    context: SumContext,
    offers: dict[str, Offer],
    holders: tuple[str, ...],
    threshold: int,
    survivors: tuple[str, ...],
    revealed: dict[str, dict[str, bytes]],
) -> np.ndarray:
    """Take the masks off the sum of the survivors' uploads.

    Parameters
    ----------
    total
        Sum of the uploads, uint64, (n,).
    context
        The sum's identity.
    offers
        Of every participant.
    holders
        The sites with shares, in the order of their positions.
    threshold
        Shares that open.
    survivors
        Whose uploads are in ``total``.
    revealed
        By the site that answered: a share for each participant.

    Returns
    -------
    The sum of the survivors' vectors, uint64, (n,).

    Raises
    ------
    SecureSumError
        Fewer than ``threshold`` sites answered, or the shares do not give what was offered.
    """
    position = {site: i + 1 for i, site in enumerate(holders)}
    binding = sum_binding(context, len(total))

    def secret(site: str) -> bytes:
        return combine({position[by]: shares[site] for by, shares in revealed.items()}, threshold)

    added, subtracted = [], []
    for site in survivors:
        seed = secret(site)
        if commitment(seed) != offers[site].commitment:
            raise SecureSumError(f"{context.phase}: the shares of {site}'s seed do not fit it")
        subtracted.append(self_mask_key(seed, binding))
    for lost in sorted(set(offers) - set(survivors)):
        pair = KeyPair(secret(lost))
        if pair.public != offers[lost].round_key.public:
            raise SecureSumError(f"{context.phase}: the shares of {lost}'s key do not fit it")
        for site in survivors:
            key = pair_mask_key(pair, offers[site].round_key.public, lost, site, binding)
            (subtracted if site < lost else added).append(key)
    opened = total.copy()
    add_masks(opened, added, subtracted)
    return opened

"""The ``masked`` backend: both halves of the masked sum as messages carry them.

Keys, commitments and boxes are hexadecimal text on the wire, by site.
"""

import numpy as np

from common.errors import SecureSumError
from common.secure.backend import SumContext, Values
from common.secure.masked_coordinator import default_threshold, open_sum
from common.secure.masked_site import MaskedSite, Offer


def offer_fields(offer: Offer) -> Values:
    """An offer as public fields."""
    return {
        "round_key": offer.public.hex(),
        "commitment": offer.commitment.hex(),
        "boxes": {site: box.hex() for site, box in offer.boxes.items()},
    }


def offer_of(fields: Values) -> Offer:
    """The offer in public fields."""
    boxes = {site: bytes.fromhex(box) for site, box in fields["boxes"].items()}
    return Offer(bytes.fromhex(fields["round_key"]), bytes.fromhex(fields["commitment"]), boxes)


class MaskedSiteSum:
    """A site's half.

    Parameters
    ----------
    site
        Its keys and rules.
    """

    masks = True

    def __init__(self, site: MaskedSite):
        self.site = site

    def identity(self) -> Values:
        """The public half of the site's key for this run."""
        return {"identity": self.site.keys.identity.public.hex()}

    def first_offer(self, request: Values) -> Values:
        """Meet the other sites and offer keys for the first sum."""
        self.site.meet({s: bytes.fromhex(key) for s, key in request["identities"].items()})
        return offer_fields(self.site.offer(0, tuple(request["holders"]), request["threshold"]))

    def upload(
        self, vector: np.ndarray, context: SumContext, keys: Values
    ) -> tuple[np.ndarray, Values]:
        """The vector under its masks, and an offer for the sum after this one."""
        number, following = keys["number"], keys["next"]
        publics = {site: bytes.fromhex(key) for site, key in keys["round_keys"].items()}
        masked = self.site.upload(vector, context, number, publics)
        offer = self.site.offer(number + 1, tuple(following["holders"]), following["threshold"])
        return masked, offer_fields(offer)

    def reveal(self, request: Values) -> Values:
        """A share for each participant of the sum."""
        boxes = {
            sender: bytes.fromhex(by_receiver.get(self.site.name, ""))
            for sender, by_receiver in request["boxes"].items()
        }
        shares = self.site.reveal(request["number"], tuple(request["survivors"]), boxes)
        return {"shares": {site: share.hex() for site, share in shares.items()}}


class MaskedBackend:
    """The coordinator's half.

    Parameters
    ----------
    min_sites
        Fewer sites than this are never in a sum.
    """

    reveals = True

    def __init__(self, min_sites: int):
        self.min_sites = min_sites
        self._number = -1
        self._offers: dict[int, dict[str, Offer]] = {}
        self._holders: dict[int, tuple[str, ...]] = {}

    def introduce(self, identities: dict[str, str]) -> Values:
        """What the sites are told of each other, before the first sum."""
        return {"identities": identities, **self._agree(0, identities)}

    def offered(self, number: int, site: str, fields: Values) -> None:
        """Take a site's offer for a sum."""
        self._offers.setdefault(number, {})[site] = offer_of(fields)

    def request(self, context: SumContext, sites: list[str]) -> Values:
        """Round keys of the participants, and who is to hold shares for the sum after.

        Raises
        ------
        SecureSumError
            A site has offered no keys: it was lost in an earlier sum.
        """
        self._number += 1
        offers = self._offers.get(self._number, {})
        without = sorted(set(sites) - set(offers))
        if without:
            raise SecureSumError(f"{context.phase}: no keys of {', '.join(without)}; run again")
        self._offers[self._number] = {site: offers[site] for site in sites}
        self._offers.pop(self._number - 1, None)
        return {
            "number": self._number,
            "round_keys": {site: offers[site].public.hex() for site in sites},
            "next": self._agree(self._number + 1, sites),
        }

    def _agree(self, number: int, sites) -> Values:
        self._holders[number] = tuple(sorted(sites))
        return {"holders": self._holders[number], "threshold": self._threshold(number)}

    def _threshold(self, number: int) -> int:
        return default_threshold(len(self._holders[number]), self.min_sites)

    def receive(self, site: str, fields: Values) -> None:
        """Keep a site's offer for the sum after this one."""
        self.offered(self._number + 1, site, fields)

    def reveal_request(self, survivors: list[str]) -> Values:
        """The list of survivors and the boxes for each of them."""
        offers = self._offers[self._number]
        return {
            "number": self._number,
            "survivors": sorted(survivors),
            "boxes": {
                sender: {site: box.hex() for site, box in offer.boxes.items() if site in survivors}
                for sender, offer in offers.items()
            },
        }

    def open(
        self,
        total: np.ndarray,
        survivors: list[str],
        reveals: dict[str, Values],
        context: SumContext,
    ) -> np.ndarray:
        """The sum, from the shares of any ``threshold`` sites.

        Raises
        ------
        SecureSumError
            Fewer answered, or the shares do not fit what was offered.
        """
        shares = {
            by: {site: bytes.fromhex(share) for site, share in fields["shares"].items()}
            for by, fields in reveals.items()
        }
        number = self._number
        return open_sum(
            total,
            context,
            self._offers[number],
            self._holders[number],
            self._threshold(number),
            tuple(sorted(survivors)),
            shares,
        )

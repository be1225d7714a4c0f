"""The ``masked`` backend: both halves of the masked sum as messages carry them.

Keys, commitments, signatures and boxes are hexadecimal text on the wire, by site.
"""

import numpy as np

from common.errors import SecureSumError
from common.secure.backend import Parcel, SumContext, Values
from common.secure.masked_coordinator import open_sum
from common.secure.masked_site import MaskedSite, Offer, RoundKey
from common.secure.running_sum import VECTOR, RunningSum
from common.secure.threshold import default_threshold

AGREE, REVEAL = "agree", "reveal"


def offer_fields(offer: Offer) -> Values:
    """An offer as public fields."""
    return {
        "round_key": offer.round_key.public.hex(),
        "round_key_signature": offer.round_key.signature.hex(),
        "commitment": offer.commitment.hex(),
        "boxes": {site: box.hex() for site, box in offer.boxes.items()},
    }


def offer_of(fields: Values) -> Offer:
    """The offer in public fields."""
    key, signature, committed = (
        bytes.fromhex(fields[name]) for name in ("round_key", "round_key_signature", "commitment")
    )
    return Offer(RoundKey(key, signature), committed, _unhex(fields["boxes"]))


def _unhex(by_site: dict[str, str]) -> dict[str, bytes]:
    return {site: bytes.fromhex(text) for site, text in by_site.items()}


class MaskedSiteSum:
    """A site's half.

    Parameters
    ----------
    member
        Its keys and rules.
    """

    masks = True

    def __init__(self, member: MaskedSite):
        self.member = member
        self._begun: tuple[SumContext, Values] | None = None

    def first_offer(self, request: Values) -> Values:
        """Offer keys for the first sum."""
        return offer_fields(self.member.offer(0, tuple(request["holders"]), request["threshold"]))

    def begin(self, context: SumContext, keys: Values) -> None:
        """Take part, with the round keys that the coordinator passed on."""
        round_keys = {
            site: RoundKey(*map(bytes.fromhex, parts)) for site, parts in keys["round_keys"].items()
        }
        self.member.begin(context, keys["number"], round_keys)
        self._begun = (context, keys)

    def upload(self, vector: np.ndarray) -> Parcel:
        """The vector under its masks, and an offer for the sum after this one."""
        context, keys = self._begun
        number, following = keys["number"], keys["next"]
        masked = self.member.upload(vector, context, number)
        offer = self.member.offer(number + 1, tuple(following["holders"]), following["threshold"])
        return Parcel(offer_fields(offer), {VECTOR: masked})

    def answer(self, trip: str, asked: Parcel) -> Parcel:
        """A signature of the list of survivors, or a share for each participant of the sum."""
        number, survivors = asked.public["number"], tuple(asked.public["survivors"])
        if trip == AGREE:
            return Parcel({"signature": self.member.agree(number, survivors).hex()})
        boxes, signatures = (_unhex(asked.public[name]) for name in ("boxes", "signatures"))
        shares = self.member.reveal(number, survivors, boxes, signatures)
        return Parcel({"shares": {site: share.hex() for site, share in shares.items()}})


class MaskedBackend:
    """The coordinator's half.

    Parameters
    ----------
    min_sites
        Fewer sites than this are never in a sum.
    consistency
        The survivors sign their list before they reveal.
    """

    masks = True

    def __init__(self, min_sites: int, consistency: bool = False):
        self.min_sites = min_sites
        self.consistency = consistency
        self.trips = (AGREE, REVEAL) if consistency else (REVEAL,)
        self._number = -1
        self._offers: dict[int, dict[str, Offer]] = {}
        self._holders: dict[int, tuple[str, ...]] = {}

    def first_offers(self, sites: list[str]) -> Values:
        """What the sites are told before the first sum."""
        return self._agree_on(0, sites)

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
        self._context, self._sum = context, RunningSum()
        self._signatures: dict[str, str] = {}
        self._shares: dict[str, dict[str, bytes]] = {}
        offers = self._offers.get(self._number, {})
        without = sorted(set(sites) - set(offers))
        if without:
            raise SecureSumError(f"no keys of {', '.join(without)}; run again")
        self._offers[self._number] = {site: offers[site] for site in sites}
        self._offers.pop(self._number - 1, None)
        round_keys = {site: offers[site].round_key for site in sites}
        return {
            "number": self._number,
            "round_keys": {
                site: (key.public.hex(), key.signature.hex()) for site, key in round_keys.items()
            },
            "next": self._agree_on(self._number + 1, sites),
        }

    def _agree_on(self, number: int, sites) -> Values:
        self._holders[number] = tuple(sorted(sites))
        return {"holders": self._holders[number], "threshold": self._threshold(number)}

    def _threshold(self, number: int) -> int:
        n_holders = len(self._holders[number])
        return default_threshold(n_holders, self.min_sites, self.consistency)

    def receive(self, site: str, upload: Parcel, n_words: int) -> None:
        """Add a site's vector, and keep its offer for the sum after this one."""
        self._sum.add(site, upload, n_words)
        self.offered(self._number + 1, site, upload.public)

    def ask(self, trip: str, survivors: list[str], left: list[str]) -> dict[str, Parcel]:
        """The list of survivors, and to open it their signatures and each site's boxes.

        Raises
        ------
        SecureSumError
            A survivor was lost before it signed.
        """
        listed = {"number": self._number, "survivors": sorted(survivors)}
        if trip == AGREE:
            return dict.fromkeys(left, Parcel(listed))
        unsigned = sorted(set(survivors) - set(self._signatures)) if self.consistency else []
        if unsigned:
            raise SecureSumError(
                f"{', '.join(unsigned)} did not sign the list of survivors, and with consistency "
                "every one of them must: nothing is opened; run again"
            )
        offers = self._offers[self._number].items()
        return {
            site: Parcel(
                {
                    **listed,
                    "signatures": self._signatures,
                    "boxes": {sender: offer.boxes[site].hex() for sender, offer in offers},
                }
            )
            for site in left
        }

    def take(self, trip: str, site: str, answer: Parcel) -> None:
        """Keep a signature, or a site's shares."""
        if trip == AGREE:
            self._signatures[site] = answer.public["signature"]
        else:
            self._shares[site] = _unhex(answer.public["shares"])

    def open(self, survivors: list[str]) -> np.ndarray:
        """The sum, from the shares of any ``threshold`` sites.

        Raises
        ------
        SecureSumError
            Fewer answered, or the shares do not fit what was offered.
        """
        return open_sum(
            self._sum.total,
            self._context,
            self._offers[self._number],
            self._holders[self._number],
            self._threshold(self._number),
            tuple(sorted(survivors)),
            self._shares,
        )

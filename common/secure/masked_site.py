"""A site's half of the masked sum: its keys from one sum to the next, uploads and reveals.

What it must keep between messages is :class:`SiteKeys`, in memory only. Sums of a run are numbered;
with its upload to one a site sends the public half of its key for the next, and boxes with shares
of that key's private half and of the seed of its next self mask.
"""

import json
import os
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from common.errors import SecureSumError
from common.secure.backend import SumContext
from common.secure.keys import KeyPair, seal, unseal
from common.secure.masking import KEY_BYTES, add_masks, derive, sum_binding
from common.secure.shares import split


@dataclass(repr=False)
class SumKeys:
    """What a site holds for one sum.

    Parameters
    ----------
    number
        Of the sum in the run.
    pair, seed
        Its round key, and the seed of its self mask.
    holders
        The sites that got shares, sorted; ``threshold`` of them open.
    uploaded
        The participants it uploaded for, sorted; empty before.
    survivors
        Those whose sum it has helped to open; empty before.
    """

    number: int
    pair: KeyPair
    seed: bytes
    holders: tuple[str, ...]
    threshold: int
    uploaded: tuple[str, ...] = ()
    survivors: tuple[str, ...] = ()


@dataclass(repr=False)
class SiteKeys:
    """A site's keys in a run; never written to a disk or a log."""

    identity: KeyPair = field(default_factory=KeyPair.fresh)
    peers: dict[str, bytes] = field(default_factory=dict)
    sums: dict[int, SumKeys] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """All of it, for Flower's memory between two messages."""
        sums = [
            {
                "number": own.number,
                "pair": own.pair.private.hex(),
                "seed": own.seed.hex(),
                "holders": own.holders,
                "threshold": own.threshold,
                "uploaded": own.uploaded,
                "survivors": own.survivors,
            }
            for own in self.sums.values()
        ]
        peers = {site: public.hex() for site, public in self.peers.items()}
        whole = {"identity": self.identity.private.hex(), "peers": peers, "sums": sums}
        return json.dumps(whole).encode()

    @classmethod
    def from_bytes(cls, kept: bytes) -> Self:
        """What :meth:`to_bytes` gave."""
        whole = json.loads(kept)
        sums = {
            own["number"]: SumKeys(
                own["number"],
                KeyPair(bytes.fromhex(own["pair"])),
                bytes.fromhex(own["seed"]),
                tuple(own["holders"]),
                own["threshold"],
                tuple(own["uploaded"]),
                tuple(own["survivors"]),
            )
            for own in whole["sums"]
        }
        peers = {site: bytes.fromhex(public) for site, public in whole["peers"].items()}
        return cls(KeyPair(bytes.fromhex(whole["identity"])), peers, sums)


@dataclass(frozen=True)
class Offer:
    """What a site publishes for a sum to come.

    Parameters
    ----------
    public
        Its round key's public half.
    commitment
        A hash of the self mask's seed, against which what the shares give is checked.
    boxes
        Shares for each holder, sealed.
    """

    public: bytes
    commitment: bytes
    boxes: dict[str, bytes]


class MaskedSite:
    """A site in the masked sums of one run.

    Parameters
    ----------
    keys
        What it keeps between messages; changed in place.
    name
        Its name in the sums.
    run
        The run's id.
    min_sites
        It takes part in no sum that fewer sites contribute to.
    """

    def __init__(self, keys: SiteKeys, name: str, run: str, min_sites: int):
        self.keys = keys
        self.name = name
        self.run = run
        self.min_sites = min_sites

    def meet(self, peers: dict[str, bytes]) -> None:
        """Take the sites' identities, once in a run.

        Raises
        ------
        SecureSumError
            They were taken before and are others now, two are the same, or this site's is not
            among them as it is.
        """
        if self.keys.peers and self.keys.peers != peers:
            raise SecureSumError("the sites' identities changed within the run")
        if peers.get(self.name) != self.keys.identity.public:
            raise SecureSumError(f"the identity of {self.name} is not the one it sent")
        if len(set(peers.values())) < len(peers):
            raise SecureSumError("two sites have the same identity key")
        self.keys.peers = dict(peers)

    def offer(self, number: int, holders: tuple[str, ...], threshold: int) -> Offer:
        """Fresh keys for a sum to come, with shares for ``holders``.

        Raises
        ------
        SecureSumError
            There are too few holders, one is unknown, or keys were offered for the sum before.
        """
        self._enough(holders, threshold)
        if number in self.keys.sums:
            raise SecureSumError(f"keys for sum {number} were asked for twice")
        unknown = sorted(set(holders) - set(self.keys.peers))
        if unknown or self.name not in holders:
            raise SecureSumError(
                f"sum {number} is for {', '.join(holders)}: {unknown or self.name} is not among "
                "those who met"
            )
        own = SumKeys(number, KeyPair.fresh(), os.urandom(KEY_BYTES), holders, threshold)
        n = len(holders)
        shares = zip(
            split(own.seed, threshold, n), split(own.pair.private, threshold, n), strict=True
        )
        boxes = {
            holder: seal(
                of_seed + of_key,
                self.keys.identity,
                self.keys.peers[holder],
                *_box_binding(self.run, number, self.name, holder),
            )
            for holder, (of_seed, of_key) in zip(holders, shares, strict=True)
        }
        self.keys.sums[number] = own
        return Offer(own.pair.public, commitment(own.seed), boxes)

    def upload(
        self, vector: np.ndarray, context: SumContext, number: int, publics: dict[str, bytes]
    ) -> np.ndarray:
        """The vector under its masks, a new array; keys of earlier sums are forgotten.

        Parameters
        ----------
        vector
            uint64, (n,).
        context
            The sum's identity, which the masks are bound to.
        number
            Of the sum in the run.
        publics
            Round keys of the sites that take part.

        Raises
        ------
        SecureSumError
            The keys were used before, or the participants are not those the shares are for.
        """
        own = self._keys_of(number)
        if own.uploaded:
            raise SecureSumError(f"sum {number} was asked for twice: a mask covers one vector only")
        participants = tuple(sorted(publics))
        self._enough(participants, own.threshold)
        if not set(participants) <= set(own.holders) or context.n_sites != len(participants):
            raise SecureSumError(f"sum {number} has other participants than the sites agreed on")
        if publics.get(self.name) != own.pair.public:
            raise SecureSumError(f"the round key of {self.name} is not the one it sent")
        if len(set(publics.values())) < len(publics):
            raise SecureSumError("two sites have the same round key")
        binding = sum_binding(context, len(vector))
        added, subtracted = [self_mask_key(own.seed, binding)], []
        for other, public in publics.items():
            if other != self.name:
                key = pair_mask_key(own.pair, public, self.name, other, binding)
                (added if self.name < other else subtracted).append(key)
        masked = vector.copy()
        add_masks(masked, added, subtracted)
        own.uploaded = participants
        for earlier in [n for n in self.keys.sums if n < number]:
            del self.keys.sums[earlier]
        return masked

    def reveal(
        self, number: int, survivors: tuple[str, ...], boxes: dict[str, bytes]
    ) -> dict[str, bytes]:
        """For each participant one share: of its seed if it survived, of its round key if not.

        Raises
        ------
        SecureSumError
            This site did not upload, the survivors are too few, not participants, or others than
            those named before, or a box does not open.
        """
        own = self._keys_of(number)
        survivors = tuple(sorted(survivors))
        if not own.uploaded or self.name not in survivors:
            raise SecureSumError(f"{self.name} uploaded nothing that counts in sum {number}")
        if own.survivors not in ((), survivors):
            raise SecureSumError(
                f"sum {number}: the survivors were {', '.join(own.survivors)} and are now "
                f"{', '.join(survivors)}: "
                "a second list would open a single site's vector"
            )
        if len(set(survivors)) < len(survivors) or not set(survivors) <= set(own.uploaded):
            raise SecureSumError(f"sum {number}: survivors that did not take part: {survivors}")
        self._enough(survivors, own.threshold)
        shares = {}
        for site in own.uploaded:
            content = unseal(
                boxes.get(site, b""),
                self.keys.identity,
                self.keys.peers[site],
                *_box_binding(self.run, number, site, self.name),
            )
            half = len(content) // 2
            shares[site] = content[:half] if site in survivors else content[half:]
        own.survivors = survivors
        return shares

    def _keys_of(self, number: int) -> SumKeys:
        if number not in self.keys.sums:
            raise SecureSumError(
                f"{self.name} has no keys for sum {number}: it was restarted, or the sum is an "
                "earlier one; run again"
            )
        return self.keys.sums[number]

    def _enough(self, sites: tuple[str, ...], threshold: int) -> None:
        least = max(threshold, self.min_sites)
        if len(sites) < least or 2 * threshold <= len(sites):
            raise SecureSumError(
                f"{len(sites)} sites with a threshold of {threshold}, while {self.name} takes part "
                f"from {self.min_sites} sites and with a threshold above half of them"
            )


def commitment(seed: bytes) -> bytes:
    """A hash that binds a site to its seed without showing it."""
    return derive(seed, "commitment")


def self_mask_key(seed: bytes, binding: list[object]) -> bytes:
    """The key of a site's self mask."""
    return derive(seed, "self mask", *binding)


def pair_mask_key(
    own: KeyPair, other_public: bytes, own_name: str, other_name: str, binding: list[object]
) -> bytes:
    """The key of the mask between two sites, the same from either side."""
    pair = sorted((own_name, other_name))
    return derive(own.agree(other_public), "pair mask", *binding, *pair)


def _box_binding(run: str, number: int, sender: str, receiver: str) -> tuple[object, ...]:
    return ("shares", run, number, sender, receiver)

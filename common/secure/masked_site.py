"""A site's half of the masked sum: its keys from one sum to the next, uploads and reveals.

What it must keep between messages is :class:`common.secure.site_keys.SiteKeys`. Sums of a run are
numbered; with its upload to one a site sends the public half of its key for the next, and boxes
with shares of that key's private half and of the seed of its next self mask.
"""

import os
from dataclasses import dataclass

import numpy as np

from common.errors import SecureSumError
from common.secure.backend import SumContext
from common.secure.keys import KeyPair, seal, unseal
from common.secure.masking import KEY_BYTES, add_masks, derive, sum_binding
from common.secure.member import Member
from common.secure.shares import split
from common.secure.signing import is_signed
from common.secure.site_keys import SumKeys


@dataclass(frozen=True)
class RoundKey:
    """The public half of a site's key for one sum, signed by its key for the run."""

    public: bytes
    signature: bytes


@dataclass(frozen=True)
class Offer:
    """What a site publishes for a sum to come.

    Parameters
    ----------
    round_key
        Its key for that sum.
    commitment
        A hash of the self mask's seed, against which what the shares give is checked.
    boxes
        Shares for each holder, sealed.
    """

    round_key: RoundKey
    commitment: bytes
    boxes: dict[str, bytes]


class MaskedSite(Member):
    """A site in the masked sums of one run."""

    def offer(self, number: int, holders: tuple[str, ...], threshold: int) -> Offer:
        """Fresh keys for a sum to come, with shares for ``holders``.

        Raises
        ------
        PolicyError
            There are fewer holders than the policy's least.
        SecureSumError
            The threshold is unsafe, a holder is unknown, or keys were offered for the sum before.
        """
        self.guard.enough(len(holders), threshold, len(holders))
        if number != self.keys.n_offered:
            raise SecureSumError(
                f"keys for sum {number} were asked for, and {self.keys.n_offered} is next: each "
                "sum has keys once"
            )
        unknown = sorted(set(holders) - set(self.keys.peers))
        if unknown or self.name not in holders or len(set(holders)) < len(holders):
            raise SecureSumError(
                f"sum {number} is for {', '.join(holders)}: {unknown or self.name} is not among "
                "those who met, or is named twice"
            )
        own = SumKeys(number, KeyPair.fresh(), os.urandom(KEY_BYTES), holders, threshold)
        n = len(holders)
        shares = zip(
            split(own.seed, threshold, n), split(own.pair.private, threshold, n), strict=True
        )
        boxes = {
            holder: seal(
                of_seed + of_key,
                self.keys.agreement,
                self.keys.peers[holder].agreement_key,
                *_box_binding(self.run, number, self.name, own.pair.public.hex(), holder),
            )
            for holder, (of_seed, of_key) in zip(holders, shares, strict=True)
        }
        self.keys.sums[number] = own
        self.keys.n_offered += 1
        signature = self.keys.signing.sign(
            *_key_content(self.run, number, self.name, own.pair.public)
        )
        return Offer(RoundKey(own.pair.public, signature), commitment(own.seed), boxes)

    def begin(self, context: SumContext, number: int, keys: dict[str, RoundKey]) -> None:
        """Take part in a sum, before anything is computed for it; earlier sums are forgotten.

        Parameters
        ----------
        context
            The sum's identity, which the masks are bound to.
        number
            Of the sum in the run.
        keys
            Round keys of the sites that take part.

        Raises
        ------
        PolicyError
            Too few take part, or others than in an earlier run's sum, so that the difference would
            show a site.
        SecureSumError
            The keys were used before, are not signed by those who met, or the participants are not
            those the shares are for.
        """
        own = self._keys_of(number)
        if own.uploaded:
            raise SecureSumError(f"sum {number} was asked for twice: a mask covers one vector only")
        participants = tuple(sorted(keys))
        self.guard.enough(len(participants), own.threshold, len(own.holders))
        if not set(participants) <= set(own.holders) or context.n_sites != len(participants):
            raise SecureSumError(f"sum {number} has other participants than the sites agreed on")
        if self.name not in keys or keys[self.name].public != own.pair.public:
            raise SecureSumError(f"the round key of {self.name} is not the one it sent")
        if len({key.public for key in keys.values()}) < len(keys):
            raise SecureSumError("two sites have the same round key")
        for other, key in keys.items():
            content = _key_content(self.run, number, other, key.public)
            if not is_signed(self.keys.peers[other].run_key, key.signature, *content):
                raise SecureSumError(
                    f"the round key of {other} is not signed by {other}: it was exchanged on its "
                    "way"
                )
        sites = self.sites(participants)
        self.guard.record.begin(self.run, self.keys.memory, str(number), context.phase, sites)
        own.uploaded, own.phase = participants, context.phase
        own.round_keys = tuple(keys[site].public.hex() for site in participants)
        for earlier in [n for n in self.keys.sums if n < number]:
            del self.keys.sums[earlier]

    def upload(self, vector: np.ndarray, context: SumContext, number: int) -> np.ndarray:
        """The vector (uint64, (n,)) under its masks, a new array, in a sum that has begun."""
        own = self._keys_of(number)
        binding = sum_binding(context, len(vector))
        added, subtracted = [self_mask_key(own.seed, binding)], []
        for other, key in zip(own.uploaded, own.round_keys, strict=True):
            if other != self.name:
                mask = pair_mask_key(own.pair, bytes.fromhex(key), self.name, other, binding)
                (added if self.name < other else subtracted).append(mask)
        masked = vector.copy()
        add_masks(masked, added, subtracted)
        return masked

    def agree(self, number: int, survivors: tuple[str, ...]) -> bytes:
        """A signature of the list of survivors; any other list is refused from then on.

        Raises
        ------
        PolicyError, SecureSumError
            As :meth:`reveal`.
        """
        own = self._settle(number, survivors)
        return self.keys.signing.sign(*_list_content(self.run, own))

    def reveal(
        self,
        number: int,
        survivors: tuple[str, ...],
        boxes: dict[str, bytes],
        signatures: dict[str, bytes] | None = None,
    ) -> dict[str, bytes]:
        """For each participant one share: of its seed if it survived, of its round key if not.

        Parameters
        ----------
        signatures
            The survivors' of their list; needed where the site insists on consistency.

        Raises
        ------
        PolicyError
            The survivors are too few, or others than in an earlier run's sum.
        SecureSumError
            This site did not upload, the survivors are not participants or others than those named
            before, one of them did not sign the list, or a box does not open.
        """
        own = self._settle(number, survivors)
        if self.guard.consistency:
            self._check_signatures(own, signatures or {})
        shares = {}
        for site, key in zip(own.uploaded, own.round_keys, strict=True):
            content = unseal(
                boxes.get(site, b""),
                self.keys.agreement,
                self.keys.peers[site].agreement_key,
                *_box_binding(self.run, number, site, key, self.name),
            )
            half = len(content) // 2
            shares[site] = content[:half] if site in own.survivors else content[half:]
        return shares

    def _settle(self, number: int, survivors: tuple[str, ...]) -> SumKeys:
        """Accept one list of survivors for a sum, and no other ever."""
        own, survivors = self._keys_of(number), tuple(sorted(survivors))
        if not own.uploaded or self.name not in survivors:
            raise SecureSumError(f"{self.name} uploaded nothing that counts in sum {number}")
        if own.survivors not in ((), survivors):
            raise SecureSumError(
                f"sum {number}: the survivors were {', '.join(own.survivors)} and are now "
                f"{', '.join(survivors)}: a second list would open a single site's vector"
            )
        if len(set(survivors)) < len(survivors) or not set(survivors) <= set(own.uploaded):
            raise SecureSumError(f"sum {number}: survivors that did not take part: {survivors}")
        self.guard.enough(len(survivors), own.threshold, len(own.holders))
        self.guard.keeps_noise(own.phase, len(own.uploaded), len(survivors))
        # On the site's disk before anything leaves that helps to open the sum.
        self.guard.record.settle(
            self.run, self.keys.memory, str(number), own.phase, self.sites(survivors)
        )
        own.survivors = survivors
        return own

    def _check_signatures(self, own: SumKeys, signatures: dict[str, bytes]) -> None:
        content = _list_content(self.run, own)
        unsigned = [
            site
            for site in own.survivors
            if not is_signed(self.keys.peers[site].run_key, signatures.get(site, b""), *content)
        ]
        # All of them: a site in two lists signs one, so two lists never both open.
        if unsigned:
            raise SecureSumError(
                f"sum {own.number}: {', '.join(unsigned)} did not sign that the survivors are "
                f"{', '.join(own.survivors)}: they were told otherwise, or are lost"
            )

    def _keys_of(self, number: int) -> SumKeys:
        if number not in self.keys.sums:
            raise SecureSumError(
                f"{self.name} has no keys for sum {number}: it was restarted, or the sum is an "
                "earlier one; run again"
            )
        return self.keys.sums[number]


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


def _box_binding(
    run: str, number: int, sender: str, round_key: str, receiver: str
) -> tuple[object, ...]:
    return ("shares", run, number, sender, round_key, receiver)


def _key_content(run: str, number: int, site: str, public: bytes) -> tuple[object, ...]:
    return ("round key", run, number, site, public.hex())


def _list_content(run: str, own: SumKeys) -> tuple[object, ...]:
    return ("survivors", run, own.number, own.uploaded, own.round_keys, own.survivors)

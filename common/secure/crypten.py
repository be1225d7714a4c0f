"""The ``crypten`` backend: additive shares between the sites, as CrypTen's arithmetic tensors.

Each site splits its ring vector into one share for each site, sealed for its owner. Each owner adds
the shares it holds, and the coordinator adds the owners' sums. Every share but one is a keystream
of the operating system's randomness; CrypTen's own generators have 32 bits of seed and are not
used. All sites must answer: a lost one cannot be left out. Traffic is n times that of a masked sum.

References
----------
Knott et al. 2021 (CrypTen), arXiv:2109.00984, Section 4.1 (arithmetic secret shares).
"""

import os
import sys
from types import ModuleType

import numpy as np
import torch

from common.errors import SecureSumError
from common.secure.backend import Parcel, SumContext, Values
from common.secure.keys import seal, unseal
from common.secure.masking import KEY_BYTES, add_masks
from common.secure.member import Member
from common.secure.site_keys import SharedSum

# CrypTen's ONNX reader imports parts of torch that have moved; nothing here reads ONNX.
_onnx = ModuleType("crypten.nn.onnx_converter")
for _name in ("from_onnx", "from_pytorch", "from_tensorflow", "TF_AND_TF2ONNX"):
    setattr(_onnx, _name, None)
sys.modules.setdefault(_onnx.__name__, _onnx)
from crypten.mpc.primitives import ArithmeticSharedTensor  # noqa: E402

PARTIAL_SUMS, PARTIAL = "partial_sums", "partial"


def split(vector: np.ndarray, n: int) -> list[np.ndarray]:
    """``n`` additive shares of ``vector`` (uint64, (n_words,)), any n - 1 of them uniform."""
    shares = []
    last = vector.copy()
    for _ in range(n - 1):
        share = np.zeros_like(vector)
        add_masks(share, [os.urandom(KEY_BYTES)])
        np.subtract(last, share, out=last)
        shares.append(share)
    return [*shares, last]


def add_shares(shares: list[np.ndarray]) -> np.ndarray:
    """The sum of shares as CrypTen adds them: modulo 2^64."""
    total = _arithmetic(shares[0])
    for share in shares[1:]:
        total += _arithmetic(share)
    return total.share.numpy().view(np.uint64)


def _arithmetic(share: np.ndarray) -> ArithmeticSharedTensor:
    # The words are fixed point already: CrypTen's encoder truncates, its decoder is off by one.
    words = torch.from_numpy(share.view(np.int64).copy())
    return ArithmeticSharedTensor.from_shares(words, precision=0)


class CrypTenSite:
    """A site's half.

    Parameters
    ----------
    member
        Its keys and rules.
    """

    masks = True

    def __init__(self, member: Member):
        self.member = member
        self._begun: SumContext | None = None

    def begin(self, context: SumContext, keys: Values) -> None:
        """Take part in a sum with the owners that the coordinator names.

        Raises
        ------
        PolicyError
            Too few take part, or others than in an earlier run's sum, so that the difference would
            show a site.
        SecureSumError
            The site took part in this sum before, or the owners are not the sites that met.
        """
        member = self.member
        owners, name = tuple(keys["owners"]), sum_name(context)
        if name in member.keys.shared:
            raise SecureSumError(f"sum {name} was asked for twice: shares are given once")
        met = sorted(set(owners) & set(member.keys.peers))
        if member.name not in met or context.n_sites != len(owners) or list(owners) != met:
            raise SecureSumError(f"sum {name} is for others than the sites that met: {owners}")
        member.guard.enough(len(owners), len(owners), len(owners))
        member.guard.record.begin(
            member.run, member.keys.memory, name, context.phase, member.sites(owners)
        )
        # The names of earlier sums are kept, to refuse them.
        member.keys.shared[name] = SharedSum(context.phase, context.content, owners)
        self._begun = context

    def upload(self, vector: np.ndarray) -> Parcel:
        """A sealed share of the vector for each owner."""
        member, name = self.member, sum_name(self._begun)
        own = member.keys.shared[name]
        shares = zip(own.owners, split(vector, len(own.owners)), strict=True)
        sealed = {
            owner: seal(
                share.tobytes(),
                member.keys.agreement,
                member.keys.peers[owner].agreement_key,
                *_box_binding(name, own, len(vector), member.name, owner),
            )
            for owner, share in shares
        }
        return Parcel(arrays={o: np.frombuffer(box, np.uint8) for o, box in sealed.items()})

    def answer(self, trip: str, asked: Parcel) -> Parcel:
        """The sum of the shares that this site owns, one of every site's.

        Raises
        ------
        SecureSumError
            It is asked for a second time, or a share is missing or does not open.
        """
        member = self.member
        name, n_words = asked.public["name"], asked.public["n_words"]
        own = member.keys.shared.get(name)
        if trip != PARTIAL_SUMS or own is None or own.added:
            raise SecureSumError(f"{member.name} has no shares to add for {trip} of sum {name}")
        if set(asked.arrays) != set(own.owners):
            raise SecureSumError(
                f"sum {name} needs the shares of {', '.join(own.owners)}, and came with those of "
                f"{', '.join(sorted(asked.arrays))}: crypten cannot go on without a site"
            )
        shares = [
            np.frombuffer(
                unseal(
                    box.tobytes(),
                    member.keys.agreement,
                    member.keys.peers[sender].agreement_key,
                    *_box_binding(name, own, n_words, sender, member.name),
                ),
                np.uint64,
            )
            for sender, box in asked.arrays.items()
        ]
        member.guard.record.settle(
            member.run, member.keys.memory, name, own.phase, member.sites(own.owners)
        )
        own.added = True
        return Parcel(arrays={PARTIAL: add_shares(shares)})


class CrypTenBackend:
    """The coordinator's half."""

    masks = True
    trips = (PARTIAL_SUMS,)

    def request(self, context: SumContext, sites: list[str]) -> Values:
        """The sites that own shares: all of them."""
        self._context, self._owners = context, sorted(sites)
        self._boxes: dict[str, dict[str, np.ndarray]] = {}
        self._partial: dict[str, np.ndarray] = {}
        self._n_words = 0
        return {"owners": self._owners}

    def receive(self, site: str, upload: Parcel, n_words: int) -> None:
        """Keep a site's sealed shares."""
        if sorted(upload.arrays) != self._owners:
            raise SecureSumError(f"site {site} answered without an upload for every site")
        self._boxes[site], self._n_words = upload.arrays, n_words

    def ask(self, trip: str, survivors: list[str], left: list[str]) -> dict[str, Parcel]:
        """To each owner its shares.

        Raises
        ------
        SecureSumError
            A site was lost.
        """
        self._all(survivors)
        public = {"name": sum_name(self._context), "n_words": self._n_words}
        return {
            owner: Parcel(public, {site: boxes[owner] for site, boxes in self._boxes.items()})
            for owner in left
        }

    def take(self, trip: str, site: str, answer: Parcel) -> None:
        """Keep an owner's sum."""
        partial = answer.arrays.get(PARTIAL)
        if partial is None or partial.dtype != np.uint64 or partial.shape != (self._n_words,):
            raise SecureSumError(f"site {site} sent no sum of {self._n_words} ring words")
        self._partial[site] = partial

    def open(self, survivors: list[str]) -> np.ndarray:
        """The sum of the owners' sums.

        Raises
        ------
        SecureSumError
            A site was lost.
        """
        self._all(survivors)
        self._all(self._partial)
        return add_shares([self._partial[site] for site in self._owners])

    def _all(self, sites) -> None:
        lost = sorted(set(self._owners) - set(sites))
        if lost:
            raise SecureSumError(
                f"{', '.join(lost)} was lost, and the crypten backend cannot go on without a "
                "site; use secure-sum = masked"
            )


def sum_name(context: SumContext) -> str:
    """A sum's identity as text, whatever its content."""
    parts = (context.run, context.phase, context.round, context.attempt, context.n_sites)
    return "/".join(str(part) for part in parts)


def _box_binding(
    name: str, own: SharedSum, n_words: int, sender: str, receiver: str
) -> tuple[object, ...]:
    return ("crypten share", name, own.content, own.owners, n_words, sender, receiver)

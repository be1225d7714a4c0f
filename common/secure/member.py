"""A site among the sites of a run: who it is, and who the others are."""

import hashlib
import json
from collections.abc import Iterable

from common.errors import SecureSumError
from common.secure.backend import Values
from common.secure.guard import Guard
from common.secure.identity import Identity
from common.secure.site_keys import SiteKeys


class Member:
    """A site in the sums of one run.

    Parameters
    ----------
    keys
        What it keeps between messages; changed in place.
    name
        Its name in the sums.
    run
        The run's id.
    guard
        What it insists on.
    """

    def __init__(self, keys: SiteKeys, name: str, run: str, guard: Guard):
        self.keys = keys
        self.name = name
        self.run = run
        self.guard = guard

    @property
    def identity(self) -> Identity:
        """What it tells the others of itself."""
        public = (self.keys.agreement.public, self.keys.signing.public)
        if self.guard.site_key is None:
            return Identity(self.guard.site, *public)
        return Identity.signed_by(
            self.guard.site_key, self.guard.site, *public, self.run, self.name
        )

    def meet(self, peers: dict[str, Identity]) -> None:
        """Take the identities of the run's sites, itself included, once in a run.

        Raises
        ------
        PolicyError
            A site is not in the pinned roster.
        SecureSumError
            They were taken before and are others now, two share a name or a key, a signature does
            not hold, or this site's own is not among them as it sent it.
        """
        if self.keys.peers:
            if self.keys.peers != peers:
                raise SecureSumError("the sites' identities changed within the run")
            return
        if peers.get(self.name) != self.identity:
            raise SecureSumError(f"the identity of {self.name} is not the one it sent")
        for what in ("agreement_key", "run_key", "site"):
            if len({getattr(peer, what) for peer in peers.values()}) < len(peers):
                raise SecureSumError(f"two sites have the same {what.replace('_', ' ')}")
        for other, peer in peers.items():
            self.guard.admit(peer, self.run, other)
        self.keys.peers = dict(peers)

    def fingerprints(self) -> dict[str, str]:
        """Each site's key for people to compare, by the site's own name."""
        return {peer.site: peer.fingerprint for peer in self.keys.peers.values()}

    def digest(self) -> str:
        """A hash of the identities it took."""
        fields = {name: peer.fields() for name, peer in self.keys.peers.items()}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()

    def sites(self, names: Iterable[str]) -> list[str]:
        """The sites' own names for names in the sums, sorted."""
        return sorted(self.keys.peers[name].site for name in names)


def identities_of(fields: dict[str, Values]) -> dict[str, Identity]:
    """Identities by name from their public fields."""
    return {name: Identity.of(own) for name, own in fields.items()}

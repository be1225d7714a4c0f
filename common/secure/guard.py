"""What a site insists on in its masked sums, whatever the coordinator asks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from common.errors import PolicyError, SecureSumError
from common.secure.identity import Identity
from common.secure.signing import SigningKey
from common.secure.threshold import least_threshold
from common.wire import phase_of


class Record(Protocol):
    """The sums that a site has taken part in, over all its runs; it outlives every process."""

    def begin(self, run: str, memory: str, name: str, phase: str, sites: list[str]) -> None:
        """Keep that the site uploads in a sum over ``sites``; refuse one that it uploaded in."""

    def settle(self, run: str, memory: str, name: str, phase: str, sites: list[str]) -> None:
        """Keep that a sum is opened over ``sites``; refuse any others for the same one."""


class NoRecord:
    """Every sum is new."""

    def begin(self, run: str, memory: str, name: str, phase: str, sites: list[str]) -> None:
        """Keep nothing."""

    def settle(self, run: str, memory: str, name: str, phase: str, sites: list[str]) -> None:
        """Keep nothing."""


@dataclass(frozen=True, repr=False)
class Guard:
    """A site's rules.

    Parameters
    ----------
    site
        Its own name, by which other sites' rosters know it.
    min_sites
        It takes part in no sum of fewer sites.
    consistency
        It helps to open a sum only when the survivors have signed their list.
    roster
        Long-term public key, hexadecimal, by site name; empty: any site may take part.
    site_key
        Its own long-term key, if it has one.
    record
        The sums it took part in.
    noise_lost
        Sites that may be lost in a sum of which each site's part holds a share of the noise.
    """

    site: str
    min_sites: int = 2
    consistency: bool = False
    roster: Mapping[str, str] = field(default_factory=dict)
    site_key: SigningKey | None = None
    record: Record = field(default_factory=NoRecord)
    noise_lost: int = 0

    def admit(self, peer: Identity, *sum_name: str) -> None:
        """Let a site of the run take part.

        Raises
        ------
        PolicyError
            A roster is pinned and the site is not in it, or not with this key.
        SecureSumError
            Its signature does not hold.
        """
        if (peer.site_key or self.roster) and not peer.is_signed_for(*sum_name):
            raise SecureSumError(
                f"the keys of {peer.site} for this run are not signed by the long-term key that "
                "they name: they were exchanged on their way, or the site has no site-key"
            )
        if self.roster and self.roster.get(peer.site, "").lower() != peer.site_key.hex():
            known = "with another key" if peer.site in self.roster else "not in it"
            raise PolicyError(
                f"policy rule roster: {peer.site!r} (key {peer.site_key.hex()}) is {known}"
            )

    def enough(self, n_sites: int, threshold: int, holders: int) -> None:
        """Let ``n_sites`` of ``holders`` sites take part, of whom ``threshold`` open the sum.

        Raises
        ------
        PolicyError
            There are fewer than ``min_sites``.
        SecureSumError
            The threshold is unsafe, or cannot be reached.
        """
        if n_sites < self.min_sites:
            raise PolicyError(
                f"policy rule min-sites = {self.min_sites}: the sum has {n_sites} sites"
            )
        least = max(least_threshold(holders, self.consistency), self.min_sites)
        if not least <= threshold <= n_sites:
            raise SecureSumError(
                f"{n_sites} sites with a threshold of {threshold} of {holders}, while {self.site} "
                f"takes part with a threshold from {least} to the number of sites"
            )

    def keeps_noise(self, phase: str, n_uploaded: int, n_survivors: int) -> None:
        """Let a sum of ``phase`` be opened over some of those who uploaded, or meant to.

        Raises
        ------
        SecureSumError
            Too many shares of its noise are missing.
        """
        lost = n_uploaded - n_survivors
        if phase_of(phase).noised and lost > self.noise_lost:
            raise SecureSumError(
                f"{phase}: {lost} of {n_uploaded} sites are lost and the noise covers at most "
                f"noise-lost = {self.noise_lost}: the sum is not opened"
            )

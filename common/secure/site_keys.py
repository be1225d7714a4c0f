"""What a site keeps between two messages of a run, in memory only."""

import json
import os
from dataclasses import asdict, dataclass, field
from typing import Self

from common.errors import SecureSumError
from common.secure.backend import SumContext
from common.secure.identity import Identity
from common.secure.keys import KeyPair
from common.secure.signing import SigningKey
from common.wire import phase_of


@dataclass(repr=False)
class SumKeys:
    """What a site holds for one masked sum.

    Parameters
    ----------
    number
        Of the sum in the run.
    pair, seed
        Its round key, and the seed of its self mask.
    holders
        The sites that got shares, sorted; ``threshold`` of them open.
    phase
        What is uploaded; empty before.
    uploaded
        The participants it uploads for, sorted; empty before.
    round_keys
        Public halves of their round keys, hexadecimal.
    survivors
        Those whose sum it has helped to open; empty before.
    """

    number: int
    pair: KeyPair
    seed: bytes
    holders: tuple[str, ...]
    threshold: int
    phase: str = ""
    uploaded: tuple[str, ...] = ()
    round_keys: tuple[str, ...] = ()
    survivors: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """All of it."""
        return {**asdict(self), "pair": self.pair.private.hex(), "seed": self.seed.hex()}

    @classmethod
    def from_json(cls, kept: dict) -> Self:
        """What :meth:`to_json` gave."""
        names = ("holders", "uploaded", "round_keys", "survivors")
        lists = {name: tuple(kept[name]) for name in names}
        pair, seed = KeyPair(bytes.fromhex(kept["pair"])), bytes.fromhex(kept["seed"])
        return cls(**{**kept, **lists, "pair": pair, "seed": seed})


@dataclass(repr=False)
class SharedSum:
    """A sum of the ``crypten`` backend that a site has given shares for.

    Parameters
    ----------
    phase, content
        What was uploaded, and the hash of what was asked.
    owners
        Everyone's shares went to these sites, sorted.
    added
        It has added the shares it owns.
    """

    phase: str
    content: str
    owners: tuple[str, ...]
    added: bool = False


@dataclass(repr=False)
class SiteKeys:
    """A site's keys in a run; never written to a disk or a log.

    Parameters
    ----------
    run, memory
        The run that they are of, and a random name that no other memory of it has.
    agreement, signing
        Its own keys for the run.
    peers
        The sites of the run, itself included, by their names in the sums.
    sums, shared
        Its sums, by number or identity.
    n_offered
        Masked sums that it has offered keys for: each number once.
    asked
        How often each phase was summed.
    """

    run: str = ""
    memory: str = field(default_factory=lambda: os.urandom(8).hex())
    agreement: KeyPair = field(default_factory=KeyPair.fresh)
    signing: SigningKey = field(default_factory=SigningKey.fresh)
    peers: dict[str, Identity] = field(default_factory=dict)
    sums: dict[int, SumKeys] = field(default_factory=dict)
    shared: dict[str, SharedSum] = field(default_factory=dict)
    n_offered: int = 0
    asked: dict[str, int] = field(default_factory=dict)

    def count(self, context: SumContext | None, phase: str) -> None:
        """Note that a phase is to be summed.

        Raises
        ------
        SecureSumError
            The sum is named as another phase's or run's, or the phase was summed as often before as
            the method needs.
        """
        if context is None or (context.run, context.phase) != (self.run, phase):
            raise SecureSumError(f"{phase} of run {self.run} was asked for as a part of {context}")
        times = phase_of(phase).times
        # Without a limit it is once in each round, and rounds only go on.
        last = self.asked.get(phase, 0)
        if (last >= times) if times else (context.round <= last):
            often = f"more than {times} times in one run" if times else f"again in round {last}"
            raise SecureSumError(f"{phase} was asked for {often}")
        self.asked[phase] = last + 1 if times else context.round

    def to_bytes(self) -> bytes:
        """All of it, for Flower's memory between two messages."""
        whole = {
            "run": self.run,
            "memory": self.memory,
            "agreement": self.agreement.private.hex(),
            "signing": self.signing.private.hex(),
            "peers": {name: peer.fields() for name, peer in self.peers.items()},
            "sums": [own.to_json() for own in self.sums.values()],
            "shared": {name: asdict(own) for name, own in self.shared.items()},
            "n_offered": self.n_offered,
            "asked": self.asked,
        }
        return json.dumps(whole).encode()

    @classmethod
    def from_bytes(cls, kept: bytes) -> Self:
        """What :meth:`to_bytes` gave."""
        whole = json.loads(kept)
        sums = [SumKeys.from_json(own) for own in whole["sums"]]
        return cls(
            whole["run"],
            whole["memory"],
            KeyPair(bytes.fromhex(whole["agreement"])),
            SigningKey(bytes.fromhex(whole["signing"])),
            {name: Identity.of(fields) for name, fields in whole["peers"].items()},
            {own.number: own for own in sums},
            {
                name: SharedSum(own["phase"], own["content"], tuple(own["owners"]), own["added"])
                for name, own in whole["shared"].items()
            },
            whole["n_offered"],
            whole["asked"],
        )

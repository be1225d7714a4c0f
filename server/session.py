"""The sums of a run over one set of keys, and new keys when a lost site comes back."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from flwr.app import Message

from common.config import RunConfig
from common.errors import SiteLost
from common.fixed_values import Values
from common.pruned import Kept
from common.secure.by_name import coordinator_sum
from common.session import session_name
from server.federation import Federation
from server.keys import exchange_keys
from strategies.fixed_values import FixedValues
from strategies.secure_sum import SecureSum, Summed

logger = logging.getLogger("syncytium.server")
Phase = TypeVar("Phase", bound=SecureSum)


class Session:
    """Runs phases, as often as it takes where the run waits for lost sites.

    Parameters
    ----------
    federation
        The sites.
    config
        The run's settings.
    run_id
        Flower's id of the run.
    always
        Values that every phase is asked with.
    """

    def __init__(
        self,
        federation: Federation,
        config: RunConfig,
        run_id: str,
        always: Mapping[str, Any] | None = None,
    ):
        self.federation = federation
        self.always = dict(always or {})
        self.config = config
        self.run_id = run_id
        self._number = 0
        self._sums = coordinator_sum(config)
        self._fixed: Values = {}
        self._kept_in = -1
        # Of the model that phases are asked with.
        self.kept = Kept()

    def keep(self, fixed: Values) -> None:
        """Let the sites keep values that the phases to come name by their hash.

        They are sent with the next phase, and again to sites that come back: those may be without
        their disks.
        """
        self._fixed, self._kept_in = fixed, -1

    def _send_fixed(self) -> None:
        if self._fixed and self._kept_in != self._number:
            self.federation.run(FixedValues(self._fixed))
            self._kept_in = self._number

    def begin(self) -> None:
        """Exchange keys, in the place of any before."""
        while True:
            self.federation.session = str(self._number)
            self._sums = coordinator_sum(self.config)
            try:
                return exchange_keys(self.federation, self._sums)
            except SiteLost:
                self.federation.wait_for_lost()
                self._number += 1

    def settings(self) -> dict[str, Any]:
        """What every sum of this session is made with."""
        return {
            "backend": self._sums,
            "run": session_name(self.run_id, str(self._number)),
            "min_sites": self.config.min_sites,
            "ring_bits": self.config.ring_bits,
            "settings": self.config.digest(),
        }

    def sum(
        self,
        phase: str,
        values: Mapping[str, Any] | None = None,
        *,
        round_: int = 0,
        **content: Any,
    ) -> Summed:
        """The masked fields of a phase, summed; ``values`` and others are as of ``SecureSum``.

        ``round_`` counts from 1 where a run sums the phase as often as it takes.
        """
        asked = {**(values or {}), **self.always}
        if self.kept and "model" in content.get("arrays", {}):
            arrays = content["arrays"]
            asked |= self.kept.values
            thin = {"model": self.kept.thin(arrays["model"])}
            content["arrays"] = {**arrays, **thin, **self.kept.arrays}

        def make() -> SecureSum:
            return SecureSum(phase, values=asked, **content, **self.settings())

        return self.run(make, round_)[1]

    def run(self, make: Callable[[], Phase], round_: int = 0) -> tuple[Phase, Summed, Message]:
        """A phase, its result, and one of its replies.

        Parameters
        ----------
        make
            Makes the phase, with :meth:`settings`, anew for each try.
        round_
            Of the training; 0 otherwise.

        Raises
        ------
        SiteFailure, SecureSumError, UpdateError
            As :meth:`~server.federation.Federation.run`.
        """
        while True:
            if self.config.on_site_error == "continue" and self.config.readmit:
                self._readmit()
            try:
                self._send_fixed()
                phase = make()
                return phase, *self.federation.run_with_reply(phase, round_)
            except SiteLost:
                self.federation.wait_for_lost()
                self._renew()

    def complete(self) -> bool:
        """Whether no site is lost, or no sum could show one.

        Lost sites that are back are taken in again where the run does so.
        """
        if self.config.on_site_error == "continue" and self.config.readmit:
            self._readmit()
        return not (self._sums.masks and self.federation.losses.open)

    def keeps_all(self) -> bool:
        """Whether a sum is over all sites or not opened, or sums show single sites anyway."""
        lossless = self.config.on_site_error != "continue" and not self.federation.losses.open
        return lossless or not self._sums.masks

    def _readmit(self) -> None:
        # Only all together: a second set of sites in the sums of the same cells would show a part.
        if self.federation.losses.open and self.federation.all_returned():
            self._renew()

    def _renew(self) -> None:
        while True:
            logger.info("all sites are back: they exchange keys anew")
            self._number += 1
            self.begin()
            try:
                if self._sums.masks:
                    # To the sites it is as another run, which has to begin with all of them.
                    self.federation.run(SecureSum("roll_call", **self.settings()))
                return
            except SiteLost:
                self.federation.wait_for_lost()

"""The releases of a generator, one after the other: each a sum that is opened once or never."""

import logging
import math
from dataclasses import dataclass

import numpy as np

from common.config import RunConfig
from common.errors import SecureSumError, SiteFailure
from common.privacy.distributed_noise import SharedNoise
from common.synthesis.audit.kept_sums import MOST_VALUES, keep_sum
from common.synthesis.generator import Generator, Stage, State
from common.synthesis.release import noise_of, require_possible
from server.checkpoint import Checkpoint
from server.runs import RunFolder
from server.session import Session
from strategies.noised_sum import NoisedSum

logger = logging.getLogger("syncytium.server")
PHASE = "noised_sums"


@dataclass(frozen=True)
class Released:
    """A stage that was opened.

    Parameters
    ----------
    stage
        Which.
    noise
        How its noise was shared; None of a run without.
    n_sites, survivors
        That began its sum, and whose parts it holds.
    """

    stage: Stage
    noise: SharedNoise | None
    n_sites: int
    survivors: int

    @property
    def noise_sd(self) -> float:
        """Of the noise in the sum, in grid steps."""
        return math.sqrt(self.noise.seen_variance(self.survivors)) if self.noise else 0.0


class NoisedStages:
    """All stages of a run.

    Parameters
    ----------
    session
        Runs the sums, over one set of keys.
    config, folder, checkpoint
        The run's.
    generator
        Whose stages.
    """

    def __init__(
        self,
        session: Session,
        config: RunConfig,
        folder: RunFolder,
        checkpoint: Checkpoint,
        generator: Generator,
    ):
        self.session, self.config, self.folder = session, config, folder
        self.checkpoint, self.generator = checkpoint, generator

    def release(self) -> tuple[State, list[Released]]:
        """The state after the last stage, and what each was.

        A stage that is on disk is not released again.

        Raises
        ------
        SecureSumError
            A stage is void: a site failed or was lost, and its noise cannot be drawn again.
        """
        state: State = self.checkpoint.arrays("released")
        done = self.checkpoint.get("released", [])
        # Refused here, before any site pays for what another one would refuse.
        require_possible(self.config, self.generator, len(self.session.federation.node_ids))
        released = []
        for number, stage in enumerate(self.generator.stages, start=1):
            if number <= len(done):
                n_sites, survivors = done[number - 1]
                released.append(self._released(stage, n_sites, survivors))
                continue
            total, summed = self._sum(number, stage, state)
            released.append(summed)
            if sum(s.n_values for s in self.generator.stages) <= MOST_VALUES:
                keep_sum(self.folder.path, number, total, summed.noise_sd)
            state = self.generator.take(stage, total, summed.noise_sd, state)
            done = [*done, [summed.n_sites, summed.survivors]]
            self.checkpoint.save("released", done, {"released": state})
            logger.info(
                "release %d of %d (%s): %d numbers of %d sites",
                *(number, len(self.generator.stages), stage.name, stage.n_values),
                summed.survivors,
            )
        return state, released

    def _released(self, stage: Stage, n_sites: int, survivors: int) -> Released:
        noise = noise_of(self.config, stage, n_sites) if self.config.private else None
        return Released(stage, noise, n_sites, survivors)

    def _sum(self, number: int, stage: Stage, state: State) -> tuple[np.ndarray, Released]:
        schema = self.generator.schema
        if self.config.private:
            # Again: some sites may be lost by now.
            noise_of(self.config, stage, len(self.session.federation.node_ids))
        asked = NoisedSum(
            PHASE,
            noise_lost=self.config.noise_lost,
            values={"genes": list(schema.genes), "classes": list(schema.classes)},
            arrays={"state": state} if state else {},
            **self.session.settings(),
        )
        try:
            # Not by the session, which would ask again: a second answer has other noise.
            summed = self.session.federation.run(asked, number)
        except (SecureSumError, SiteFailure) as error:
            self.folder.note(void_release={"stage": stage.name, "number": number})
            raise SecureSumError(
                f"release {number} ({stage.name}) is void: {error}. What sites have paid for it "
                "stays spent, and its noise is not drawn again: --resume pays this release once "
                "more; noise-lost = 1 or more with on-site-error = continue and secure-sum = "
                "masked bears lost sites"
            ) from None
        released = self._released(stage, asked.n_begun, summed.n_sites)
        return summed.values["noised"], released

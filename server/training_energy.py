"""What a run took until it publishes its bundle, for the bundle's card."""

import logging
from typing import Any

from common.errors import SyncytiumError
from common.training_energy import all_of, amortised, of_run
from server.energy import sum_of_sites
from server.runs import RunFolder
from server.session import Session

logger = logging.getLogger("syncytium.server")


def training_energy(
    session: Session, folder: RunFolder, earlier: list[dict[str, Any]]
) -> dict[str, Any]:
    """The card's entry; that it is not known ends no run.

    A run that starts from a bundle notes what both come to as ``fine_tuning``.

    Parameters
    ----------
    earlier
        Of the bundles that the run started from; see
        :func:`common.training_energy.as_earlier`.
    """
    if (kept := folder.checkpoint.get("training_energy")) is None:
        reason = ""
        try:
            sum_of_sites(session, folder, last=False)
        except SyncytiumError as error:
            logger.warning("the energy of the training is not known: %s", error)
            reason = str(error)
        session.federation.note_energy()
        energy = dict(folder.entry("energy", {}))
        if reason:
            energy["sites"] = {"known": False, "reason": reason}
        kept = of_run(energy, earlier)
        folder.checkpoint.save("training_energy", kept)
    folder.note(training_energy=kept)
    if earlier:
        bundle, scratch = all_of(earlier), session.config.scratch_kwh
        figures = {"bundle": bundle, **amortised(bundle, kept, scratch)}
        folder.note(fine_tuning=figures)
    return kept

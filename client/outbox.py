"""The one way out of a site: declared fields only, masked ones summed, all of them logged."""

import contextlib
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import WireError
from common.secure.backend import Parcel, SiteSum, SumContext
from common.secure.fields import pack
from common.wire import OFFER, phase_of
from common.wire_fields import Masked, Public, Shares


class Outbox:
    """Gathers what one reply sends.

    Parameters
    ----------
    phase
        The phase that is answered.
    log
        The site's ``outbox.jsonl``; one line is appended per reply.
    run
        Flower's id of the run, entered into the line.
    metered
        Gives entries of the line when all is done: the energy that it took.
    """

    def __init__(
        self,
        phase: str,
        log: Path,
        run: str = "",
        metered: Callable[[], dict[str, Any]] = dict,
    ):
        self.phase = phase
        self.fields = phase_of(phase).fields
        self.log = log
        self.run = run
        self._metered = metered
        self._public: dict[str, Any] = {}
        self._masked: dict[str, np.ndarray] = {}
        self._shares: dict[str, np.ndarray] = {}
        self._scales: dict[str, float] = {}
        self._local: dict[str, Any] = {}
        self._started = time.time()

    def public(self, name: str, value: Any) -> None:
        """Send a public field.

        Raises
        ------
        WireError
            The field is not declared, or declared masked.
        """
        self._check(name, Public)
        self._public[name] = value

    def masked(self, name: str, value: np.ndarray | float, scale: float = 1.0) -> None:
        """Contribute ``value * scale``, multiplied in float64, to a sum.

        Raises
        ------
        WireError
            The field is not declared, or declared public.
        """
        self._check(name, Masked)
        self._masked[name] = np.asarray(value)
        self._scales[name] = scale

    def parcel(self, parcel: Parcel) -> None:
        """Send what a trip of a sum sends: public fields, and shares.

        Raises
        ------
        WireError
            A field is not declared, or declared as another kind.
        """
        for name, value in parcel.public.items():
            self.public(name, value)
        for name, words in parcel.arrays.items():
            self._check(name, Shares)
            self._shares[name] = words

    def local(self, **facts: Any) -> None:
        """Enter facts into the site's own log; they are not sent."""
        self._local.update(facts)

    def _check(self, name: str, kind: type[Public | Masked | Shares]) -> None:
        field = self.fields.get(name)
        if not isinstance(field, kind):
            declared = "undeclared" if field is None else f"declared as {type(field).__name__}"
            raise WireError(
                f"{self.phase}.{name} is {declared} in common/wire.py and was not sent as "
                f"{kind.__name__}"
            )

    def seal(
        self, sums: SiteSum, context: SumContext | None
    ) -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray]]]:
        """The reply's JSON values and arrays, after writing the log.

        Raises
        ------
        WireError
            A declared field is missing.
        RingError
            A value is out of its agreed range.
        """
        missing = set(self.fields) - set(self._public) - set(self._masked) - set(self._shares)
        if missing:
            raise WireError(f"phase {self.phase} did not fill {sorted(missing)}")
        values: dict[str, Any] = {"public": self._public}
        arrays: dict[str, dict[str, np.ndarray]] = {}
        if self._masked:
            n_sites, ring_bits = context.n_sites, context.ring_bits
            vector, shapes = pack(self.phase, self._masked, n_sites, self._scales, ring_bits)
            values["shapes"] = shapes
            parcel = sums.upload(vector)
            self._offer(parcel.public)
            arrays["upload"] = parcel.arrays
        elif self._shares:
            arrays["upload"] = self._shares
        # A share for each site is as many times the vector.
        self._append(context, "masked" if sums.masks else "unmasked", len(arrays.get("upload", ())))
        return values, arrays

    def _offer(self, fields: dict[str, Any]) -> None:
        """Add what a masked upload sends for the sum after it."""
        if set(fields) not in (set(), set(OFFER)):
            raise WireError(
                f"an upload came with {sorted(fields)}, which common/wire.py does not list"
            )
        self._public.update(fields)

    def _append(self, context: SumContext | None, visibility: str, copies: int) -> None:
        fields = [
            {
                "field": name,
                "visibility": "public",
                "shape": [len(value)] if isinstance(value, list | dict) else [],
                "dtype": "json",
                "bytes": len(json.dumps(value)),
            }
            for name, value in self._public.items()
        ] + [
            self._summed(name, value, context, visibility, copies)
            for name, value in self._masked.items()
        ]
        fields += [
            {
                "field": name,
                "visibility": visibility,
                "shape": list(words.shape),
                "dtype": str(words.dtype),
                "bytes": words.nbytes,
            }
            for name, words in self._shares.items()
        ]
        _log(
            self.log,
            run=self.run,
            phase=self.phase,
            round=context.round if context else 0,
            seconds=round(time.time() - self._started, 4),
            **self._local,
            **self._metered(),
            fields=fields,
        )

    def _summed(
        self, name: str, value: np.ndarray, context: SumContext, visibility: str, copies: int
    ) -> dict[str, Any]:
        form = self.fields[name].fixed_point(context.n_sites, context.ring_bits)
        return {
            "field": name,
            "visibility": visibility,
            "shape": list(value.shape),
            "dtype": form.dtype,
            "bytes": 8 * form.n_words(value.size) * copies,
        }


def refusal(
    phase: str, kind: str, reason: str, why: str, log: Path | None, run: str = ""
) -> dict[str, Any]:
    """The JSON values of a reply that says why nothing else is sent; logged like any other.

    ``why`` is for the site's own log alone. ``log`` is None where the site's settings do not even
    say where that is.
    """
    if log is not None:
        # The refusal must arrive even if the disk is full.
        with contextlib.suppress(OSError):
            _log(log, run=run, phase=phase, refused={"kind": kind, "reason": reason}, why=why)
    return {"error": {"kind": kind, "reason": reason}}


def _log(path: Path, **entries: Any) -> None:
    line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **entries}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")

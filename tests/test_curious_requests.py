"""Requests that the method does not make: a site answers each sum as often as a run needs it."""

from dataclasses import replace

import pytest

from common.errors import SecureSumError, SiteFailure
from common.secure.backend import SumContext
from common.secure.site_keys import SiteKeys
from server.workflows.correct import Correct
from strategies.secure_sum import SecureSum
from tests.real_sites import real_sites, run
from tests.small_sites import federate, lines, three_sites, write_sites

CONTEXT = SumContext("7", "moments", 0, 0, 3)


def test_a_phase_is_summed_as_often_as_the_method_needs():
    keys = SiteKeys("7")
    keys.count(CONTEXT, "moments")
    # Neither a restart of the process between messages nor another attempt starts anew.
    keys = SiteKeys.from_bytes(keys.to_bytes())
    with pytest.raises(SecureSumError, match="moments was asked for more than 1 times in one run"):
        keys.count(replace(CONTEXT, attempt=1), "moments")
    peaks = replace(CONTEXT, phase="peaks")
    for attempt in (0, 1):
        keys.count(replace(peaks, attempt=attempt), "peaks")
    with pytest.raises(SecureSumError, match="more than 2 times"):
        keys.count(replace(peaks, attempt=2), "peaks")
    for round_ in (1, 2, 5):
        keys.count(replace(CONTEXT, phase="fit", round=round_), "fit")


@pytest.mark.parametrize(
    "context", [None, replace(CONTEXT, phase="latents"), replace(CONTEXT, run="8")]
)
def test_a_sum_has_the_name_of_its_phase_and_run(context):
    """Else the record of sums would be looked up for another phase."""
    with pytest.raises(SecureSumError, match="moments of run 7 was asked for as a part of"):
        SiteKeys("7").count(context, "moments")


def test_a_sum_under_another_phases_name_is_refused_and_logged(tmp_path, monkeypatch):
    real = SecureSum.request

    def renamed(strategy, round_, node_ids):
        phase, strategy.phase = strategy.phase, "latents"
        try:
            return real(strategy, round_, node_ids)
        finally:
            strategy.phase = phase

    monkeypatch.setattr(SecureSum, "request", renamed)
    sites = real_sites(tmp_path, ["a", "b", "c"])
    with pytest.raises(SiteFailure, match="moments of run 7 was asked for as a part of"):
        run(tmp_path / "out", list(sites.values()))
    for name in sites:
        assert lines(tmp_path / name / "outbox.jsonl")[-1]["refused"]["kind"] == "SecureSumError"


def test_the_mean_of_a_smaller_batch_is_not_to_be_had(tmp_path, monkeypatch):
    """A coordinator that names another maximum would get the mean of whose count it guesses.

    Sites that have more say so to themselves alone: a refusal would compare the guess with their
    count.
    """
    data = write_sites(tmp_path / "data", three_sites())
    # The largest batch of A has 60 cells, the second site's 30, the third's 22.
    monkeypatch.setattr(Correct, "maxima", lambda *_: {"A": 25})
    with pytest.raises(SecureSumError, match="a dominant batch was lost before it sent its mean"):
        federate(tmp_path / "out", data, 3)
    noted = [
        any(line.get("larger_here") == "A" for line in lines(path))
        for path in sorted(tmp_path.glob("out/sites/*/outbox.jsonl"))
    ]
    assert noted == [True, True, False]

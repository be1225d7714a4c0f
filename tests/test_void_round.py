"""An update that is not finite: its site and tensor are named, the round does not count."""

import numpy as np
import pytest

from client.phases import fit
from common.errors import SiteFailure
from common.models.state import not_finite
from tests.small_sites import federate, lines, run_json, three_sites, write_sites


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_sites(tmp_path_factory.mktemp("void") / "data", three_sites())


def diverging(monkeypatch, sites, in_round, names):
    """Training at some sites, numbered from 1, leaves values that are not finite in a round."""
    train, descend, started = fit.fit, fit.descent, {}

    def note(model, matrix, round_):
        started[round_, matrix.shape[0]] = model.state_dict()["mean.weight"].numpy().copy()

    def gradient(model, matrix, rows, training, *, round_, **rest):
        note(model, matrix, round_)
        step, loss = descend(model, matrix, rows, training, round_=round_, **rest)
        if matrix.shape[0] in sites and round_ == in_round:
            for name in names:
                step[name].ravel()[:2] = np.nan
        return step, loss

    def trained(model, matrix, rows, training, *, round_, **rest):
        note(model, matrix, round_)
        loss = train(model, matrix, rows, training, round_=round_, **rest)
        if matrix.shape[0] in sites and round_ == in_round:
            state = model.state_dict()
            for name in names:
                state[name].view(-1)[:2] = float("nan")
        return loss

    monkeypatch.setattr(fit, "fit", trained)
    monkeypatch.setattr(fit, "descent", gradient)
    return started


N_CELLS = [130, 125, 43]


@pytest.mark.parametrize("strategy", ["fedsgd", "fedavg"])
@pytest.mark.parametrize("on_site_error", ["stop", "continue"])
def test_the_run_goes_on_without_the_site_and_the_round(
    data, tmp_path, monkeypatch, on_site_error, strategy
):
    names = ["encoder.0.0.weight"]
    started = diverging(monkeypatch, [N_CELLS[1]], 2, names)
    settings = {"rounds": 3, "on_site_error": on_site_error, "strategy": strategy}
    run = federate(tmp_path / "out", data, 3, **settings)
    assert run["status"] == "finished"
    reason = run["lost_sites"]["site-2"]
    assert "training diverged in round 2: not finite are 2 of" in reason
    assert names[0] in reason
    first, void, last = lines(tmp_path / "out/metrics.jsonl")
    assert first["n_sites"] == 3
    assert "site-2" in void["void"]
    assert "train_loss" not in void
    assert last["n_sites"] == 2
    # The round after starts where the void one did.
    one, two, three = (started[number, N_CELLS[0]] for number in (1, 2, 3))
    np.testing.assert_array_equal(two, three)
    assert (one != two).any()
    refused = lines(tmp_path / "out/sites/site-2/outbox.jsonl")[-1]["refused"]
    assert refused["kind"] == "UpdateError"
    # Nothing of the void round was opened.
    ledger = [line["phase"] for line in lines(tmp_path / "out/ledger.jsonl")]
    fits = [i for i, phase in enumerate(ledger) if phase == "fit"]
    assert "reveal" not in ledger[fits[6] : fits[12]]


def test_too_few_sites_left_is_the_end(data, tmp_path, monkeypatch):
    diverging(monkeypatch, N_CELLS, 1, ["encoder.0.0.weight"])
    with pytest.raises(SiteFailure, match=r"fit failed at site-1.* training diverged in round 1"):
        federate(tmp_path / "out", data, 3)
    assert run_json(tmp_path / "out")["error_kind"] == "SiteFailure"


def test_the_tensors_are_named():
    state = {name: np.zeros((2, 2)) for name in "abcde"}
    assert not_finite(state) == ""
    state["b"][0, 0] = np.inf
    assert not_finite(state) == "1 of 4 values of b"
    for name in "cde":
        state[name][:] = np.nan
    assert not_finite(state).endswith("4 of 4 values of d and 1 tensors more")

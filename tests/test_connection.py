"""Waiting for sites, and telling which of them was lost."""

import pytest
from flwr.app import Error, Message

from common.config import RunConfig
from common.errors import SecureSumError, SiteFailure
from server.federation import Federation
from server.runs import RunFolder
from strategies.records import to_record
from tests.in_process import InProcessGrid
from tests.small_sites import federate, lines, run_json, three_sites, write_sites


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_sites(tmp_path_factory.mktemp("connection") / "data", three_sites())


class Arriving(InProcessGrid):
    """Sites that connect one after the other, in any order."""

    def __init__(self, arrivals):
        super().__init__(3, {})
        self.arrivals = arrivals

    def get_node_ids(self):
        return self.arrivals.pop(0) if len(self.arrivals) > 1 else self.arrivals[0]


def federation(grid, out, **settings):
    config = RunConfig.parse({"deadline": 5.0, **settings}, where="test")
    return Federation(grid, config, RunFolder(out, config, 7))


def test_it_waits_for_n_sites(tmp_path):
    grid = Arriving([[], [9], [9, 4], [4, 7, 9]])
    assert federation(grid, tmp_path, **{"n-sites": 3}).node_ids == [4, 7, 9]


def test_more_sites_than_n_sites_are_left_out(tmp_path):
    assert federation(Arriving([[9, 4, 7]]), tmp_path, **{"n-sites": 2}).node_ids == [4, 7]


def test_without_n_sites_it_takes_those_there_are_once_no_more_come(tmp_path, monkeypatch):
    monkeypatch.setattr("server.federation.SETTLING", 0.25)
    grid = Arriving([[], [9], [9], [9, 4], [4, 7, 9]])
    assert federation(grid, tmp_path).node_ids == [4, 7, 9]


def test_too_few_sites(tmp_path):
    with pytest.raises(SiteFailure, match=r"2 of 3 sites connected within 0\.2 s; start the oth"):
        federation(Arriving([[1, 2]]), tmp_path, **{"n-sites": 3, "deadline": 0.2})


def dying(phase, node_id, content=None):
    """Flower's own error, as for a site whose process was killed: it comes from node 1."""

    def tamper(reply):
        metadata = reply.metadata
        if metadata.message_type.partition(".")[2] != phase or metadata.src_node_id != node_id:
            return reply
        request = Message(to_record({}, {}), dst_node_id=1, message_type=metadata.message_type)
        request.metadata.__dict__["_message_id"] = metadata.reply_to_message_id
        return Message(Error(code=2, reason="node unavailable"), reply_to=request)

    return tamper


def test_a_killed_site_is_named(data, tmp_path):
    with pytest.raises(SiteFailure) as caught:
        federate(tmp_path / "out", data, 3, tamper=dying("moments", 3))
    said = "phase moments failed at site-3: the site's process failed (node unavailable)"
    assert str(caught.value) == said
    run = run_json(tmp_path / "out")
    assert (run["status"], run["error"], run["error_kind"]) == ("failed", said, "SiteFailure")
    assert list(run["lost_sites"]) == ["site-3"]


def test_a_run_goes_on_without_a_killed_site(data, tmp_path):
    settings = {"on-site-error": "continue", "min-sites": 2, "rounds": 3, "readmit": False}
    run = federate(tmp_path / "out", data, 3, tamper=dying("fit", 2), **settings)
    assert run["status"] == "finished"
    assert list(run["lost_sites"]) == ["site-2"]
    assert [m["n_sites"] for m in lines(tmp_path / "out/metrics.jsonl")] == [2, 2, 2]
    ledger = lines(tmp_path / "out/ledger.jsonl")
    answers = {line["phase"]: line["bytes"] for line in ledger if line["from"] == "site-2"}
    # Its error is in the ledger too, and nothing after it.
    keys = ["identities", "offers"]
    assert list(answers) == [*keys, "moments", "reveal", "principal_axes", "fixed_values", "fit"]
    assert answers["fit"] == 0


def test_a_dominant_batch_that_is_lost_is_said(data, tmp_path):
    """Its mean cannot be had any more: rather an error than a wrong reference."""
    with pytest.raises(SecureSumError, match="a dominant batch was lost before it sent its mean"):
        federate(
            tmp_path / "out",
            data,
            3,
            tamper=dying("latents", 1),
            **{"on-site-error": "continue", "min-sites": 2},
        )
    assert run_json(tmp_path / "out")["status"] == "failed"
    assert not list(tmp_path.rglob("corrected.h5ad"))

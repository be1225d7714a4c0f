"""What a run does without a site: waits for it, goes on, takes it in again; and says so."""

import pytest
from flwr.app import Message, RecordDict
from flwr.app.error import Error

from common.bundle import Bundle
from common.config import RunConfig
from common.errors import ConfigError, SiteFailure
from common.session import session_name
from server.losses import together
from strategies.records import to_record
from tests.in_process import InProcessGrid
from tests.real_sites import real_sites, run
from tests.small_sites import federate, lines, run_json, three_sites, write_sites

SETTINGS = {"rounds": 3, "deadlines": "describe=0.2,fit=0.2,moments=0.2,peaks=0.2,reveal=0.2"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_sites(tmp_path_factory.mktemp("lost") / "data", three_sites())


def error(reply, reason="node unavailable"):
    """What Flower answers for a node that is gone."""
    metadata = reply.metadata
    request = Message(to_record({}, {}), dst_node_id=1, message_type=metadata.message_type)
    request.metadata.__dict__["_message_id"] = metadata.reply_to_message_id
    return Message(Error(code=2, reason=reason), reply_to=request)


def losing(phase, node_id, times, silent=False):
    """A node whose answers of a phase do not arrive at these turns, counted from 1."""
    turn = [0]

    def tamper(reply):
        metadata = reply.metadata
        if (metadata.message_type.partition(".")[2], metadata.src_node_id) != (phase, node_id):
            return reply
        turn[0] += 1
        if turn[0] not in times:
            return reply
        return None if silent else error(reply)

    return tamper


def same_model(out, other):
    one, two = Bundle.load(out / "bundle").state, Bundle.load(other / "bundle").state
    return all((one[name] == two[name]).all() for name in two)


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    federate(out, data, 3, **SETTINGS)
    return out


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize(
    ("phase", "times"),
    [
        ("describe", {1}),
        ("moments", {1}),
        ("fit", {2}),
        ("peaks", {2}),
        ("reveal", {1}),
        ("reveal", {4}),
        ("fit", {1, 3}),
    ],
)
def test_a_run_that_waits_ends_as_if_nobody_was_lost(
    data, undisturbed, tmp_path, phase, times, silent
):
    out = tmp_path / "out"
    tamper = losing(phase, 2, times, silent)
    done = federate(out, data, 3, tamper=tamper, on_site_error="wait", **SETTINGS)
    assert done["status"] == "finished"
    assert same_model(out, undisturbed)
    losses = done["losses"]
    assert [(loss["site"], loss["phase"]) for loss in losses] == [("site-2", phase)] * len(times)
    reason = "no answer within 0.2 s" if silent else "the site's process failed (node unavailable)"
    assert {loss["reason"] for loss in losses} == {reason}
    assert all(loss["returned"] > loss["time"] for loss in losses)
    assert done["lost_sites"] == {}
    assert [line["n_sites"] for line in lines(out / "metrics.jsonl")] == [3, 3, 3]


def test_a_node_that_was_restarted_gets_new_keys(data, undisturbed, tmp_path, monkeypatch):
    """Its memory is gone, and so are its keys; it says so at the next sum."""
    push = InProcessGrid.push_messages
    restarted = []

    def forgetful(self, messages):
        messages = list(messages)
        kinds = {m.metadata.message_type for m in messages}
        if kinds == {"train.fit"} and not restarted:
            restarted.append(self.states.pop(2))
        return push(self, messages)

    monkeypatch.setattr(InProcessGrid, "push_messages", forgetful)
    out = tmp_path / "out"
    done = federate(out, data, 3, on_site_error="wait", **SETTINGS)
    assert isinstance(restarted[0], RecordDict)
    (loss,) = done["losses"]
    assert loss["site"] == "site-2"
    assert loss["returned"]
    assert same_model(out, undisturbed)


def test_a_run_goes_on_and_takes_the_site_in_again(data, tmp_path):
    out = tmp_path / "out"
    settings = {**SETTINGS, "on_site_error": "continue", "min_sites": 2}
    done = federate(out, data, 3, tamper=losing("fit", 2, {1}), **settings)
    assert [line["n_sites"] for line in lines(out / "metrics.jsonl")] == [2, 3, 3]
    assert done["losses"][0]["returned"]
    assert done["lost_sites"] == {}
    ledger = [line["phase"] for line in lines(out / "ledger.jsonl") if line["from"] == "site-2"]
    assert ledger.count("roll_call") == 1
    assert (out / "sites/site-2/corrected.h5ad").exists()


def test_or_not_if_that_is_not_wanted(data, tmp_path):
    out = tmp_path / "out"
    settings = {**SETTINGS, "on_site_error": "continue", "min_sites": 2, "readmit": False}
    done = federate(out, data, 3, tamper=losing("fit", 2, {1}), **settings)
    assert [line["n_sites"] for line in lines(out / "metrics.jsonl")] == [2, 2, 2]
    assert list(done["lost_sites"]) == ["site-2"]
    assert not (out / "sites/site-2/corrected.h5ad").exists()


def test_who_is_lost_for_the_third_time_is_not_waited_for(data, tmp_path):
    out = tmp_path / "out"
    tamper = losing("fit", 2, {1, 2, 3})
    with pytest.raises(SiteFailure, match=r"site-2 cannot be waited for .*lost 3 times"):
        federate(out, data, 3, tamper=tamper, on_site_error="wait", wait=0.5, **SETTINGS)
    assert len(run_json(out)["losses"]) == 3
    settings = {**SETTINGS, "on_site_error": "continue", "min_sites": 2, "rounds": 6}
    done = federate(tmp_path / "on", data, 3, tamper=losing("fit", 2, {1, 2, 3}), **settings)
    assert [line["n_sites"] for line in lines(tmp_path / "on/metrics.jsonl")] == [2, 2, 2, 2, 2, 2]
    assert list(done["lost_sites"]) == ["site-2"]


def test_a_site_that_does_not_come_back_is_waited_for_so_long(data, tmp_path, monkeypatch):
    monkeypatch.setattr(InProcessGrid, "gone", True, raising=False)
    ids = InProcessGrid.get_node_ids
    lost = []

    def tamper(reply):
        if reply.metadata.message_type == "train.fit" and reply.metadata.src_node_id == 3:
            lost.append(reply)
            return error(reply)
        return reply

    monkeypatch.setattr(
        InProcessGrid, "get_node_ids", lambda self: [1, 2] if lost else list(ids(self))
    )
    with pytest.raises(SiteFailure, match=r"site-3 \(.*did not come back within wait = 0.3 s"):
        federate(tmp_path, data, 3, tamper=tamper, on_site_error="wait", wait=0.3, **SETTINGS)
    run = run_json(tmp_path)
    assert (run["status"], list(run["lost_sites"])) == ("failed", ["site-3"])


def test_waiting_does_not_help_a_site_that_refuses(data, tmp_path):
    sites = three_sites()
    sites[1].X[0, 0] = float("nan")
    broken = write_sites(tmp_path / "data", sites)
    with pytest.raises(SiteFailure, match="phase describe failed at"):
        federate(tmp_path / "out", broken, 3, on_site_error="wait", **SETTINGS)


def test_a_restarted_node_without_a_registered_key_is_known_by_its_name(tmp_path, monkeypatch):
    """Flower gives it another id."""
    configs = list(real_sites(tmp_path, ["a", "b", "c"]).values())
    ids, moved = InProcessGrid.get_node_ids, []
    monkeypatch.setattr(
        InProcessGrid, "get_node_ids", lambda self: [1, 2, 4] if moved else list(ids(self))
    )

    def tamper(reply):
        metadata = reply.metadata
        if (metadata.message_type, metadata.src_node_id, moved) == ("train.fit", 3, []):
            moved.append(reply)
            return error(reply)
        return reply

    init = InProcessGrid.__init__

    def with_another(self, *args, **options):
        init(self, *args, **options)
        self.node_configs = [*self.node_configs, self.node_configs[2]]

    monkeypatch.setattr(InProcessGrid, "__init__", with_another)
    done = run(tmp_path / "out", configs, tamper=tamper, rounds=2, on_site_error="wait")
    assert done["status"] == "finished"
    (loss,) = done["losses"]
    assert (loss["site"], bool(loss["returned"])) == ("c", True)
    assert [line["n_sites"] for line in lines(tmp_path / "out/metrics.jsonl")] == [3, 3]


def test_real_sites_with_their_default_policy_take_part_in_both_sessions(tmp_path):
    configs = list(real_sites(tmp_path, ["a", "b", "c", "d"], min_sites=3).values())
    tamper = losing("fit", 4, {1})
    out = tmp_path / "out"
    done = run(out, configs, tamper=tamper, rounds=3, on_site_error="continue")
    assert [line["n_sites"] for line in lines(out / "metrics.jsonl")] == [3, 4, 4]
    record = lines(tmp_path / "a/participants.jsonl")
    assert [(line["run"], line["sites"]) for line in record] == [
        ("7", ["a", "b", "c", "d"]),
        ("7.1", ["a", "b", "c", "d"]),
    ]
    assert done["lost_sites"] == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fits=3", "no phase 'fits'.*did you mean 'fit'"),
        ("fit", "write phases and seconds"),
        ("fit=0", "write phases and seconds"),
        ("fit=nan", "write phases and seconds"),
        ("fit=1=2", "write phases and seconds"),
    ],
)
def test_deadlines_that_are_none(text, said):
    with pytest.raises(ConfigError, match=said):
        RunConfig.parse({"deadlines": text}, where="test")


def test_a_phase_has_its_own_deadline_or_the_general_one():
    config = RunConfig.parse({"deadlines": "fit=7, peaks=5.5", "deadline": 9.0}, where="test")
    assert [config.deadline_of(p) for p in ("fit", "peaks", "moments")] == [7, 5.5, 9]


def test_names_of_sessions():
    assert session_name("12", "") == session_name("12", "0") == "12"
    assert session_name("12", "3") == "12.3"
    for name in ("-1", "x", "../..", "1/2", "9" * 30, "²"):
        with pytest.raises(Exception, match="it is a number"):
            session_name("12", name)


def test_sites_that_fail_alike_are_told_once():
    """Each simulated site's reason begins with its own file."""
    failures = [("a", "/x/a.h5ad: no column"), ("b", "/x/b.h5ad: no column"), ("c", "no answer")]
    assert together(failures) == "a: /x/a.h5ad: no column (and 1 more alike); c: no answer"
    assert together(failures[2:]) == "c: no answer"

"""In a run a site answers the phases of its task, and refuses and logs all others."""

import pytest
from flwr.app import RecordDict

from common.errors import PolicyError, SiteFailure
from common.task_phases import PHASES_OF, require_phase
from common.wire import PHASES
from server.workflows.classify import Classify
from server.workflows.correct import Correct
from tests.real_sites import real_sites, run
from tests.small_cohorts import config_of
from tests.small_sites import lines
from tests.test_site import ask, run_config

SETTINGS = {
    "correct": {},
    "classify": {"task": "classify", "classifier": "svm"},
    "synthesize": {"task": "synthesize", "epsilon": 1.0},
}
FOREIGN = [(task, phase) for task in PHASES_OF for phase in PHASES if phase not in PHASES_OF[task]]


def test_every_phase_is_of_a_task_and_no_task_has_another():
    assert {phase for phases in PHASES_OF.values() for phase in phases} == set(PHASES)
    for phases in PHASES_OF.values():
        assert len(set(phases)) == len(phases) < len(PHASES)


@pytest.mark.parametrize(("task", "phase"), FOREIGN)
def test_a_phase_of_another_task_is_refused_and_logged(tmp_path, task, phase):
    """Before the request is looked at: this one is empty, and there is no file to read."""
    node = {"data-path": str(tmp_path / "none.h5ad"), "output-dir": str(tmp_path / "own")}
    node["policy"] = str(tmp_path / "policy.toml")
    (tmp_path / "policy.toml").write_text('max-epsilon = 9.0\ndataset = "x"\nmin-sites = 2\n')
    config = run_config(**SETTINGS[task], min_sites=3)
    message = "train" if PHASES[phase].train else "query"
    told = ask(phase, RecordDict(), node, config, kind=message)
    assert told["error"]["kind"] == "PolicyError"
    assert told["error"]["reason"] == f"phase {phase} is none of a run of {task}"
    (line,) = lines(tmp_path / "own/outbox.jsonl")
    assert line["phase"] == phase
    assert line["refused"]["kind"] == "PolicyError"
    assert f"none of a run of {task}" in line["refused"]["reason"]


def test_a_task_s_own_phases_are_let_through():
    for phase in PHASES_OF["synthesize"]:
        require_phase(config_of(), phase)
    require_phase(config_of(classes="A,B"), "noised_sums")
    with pytest.raises(PolicyError, match="labels is none of a run of synthesize with public"):
        require_phase(config_of(classes="A,B"), "labels")


@pytest.mark.parametrize(
    ("workflow", "phase"),
    [(Correct, "labels"), (Correct, "class_counts"), (Classify, "peaks"), (Classify, "latents")],
)
def test_a_coordinator_that_asks_for_more_than_its_task_is_refused(
    tmp_path, monkeypatch, workflow, phase
):
    seen = []
    values = {"groups": [["A"], ["B"]], "vocabulary": {}, "types": ["A"], "digit": 0}

    def asks(own, sites):
        seen.append(own.session.sum(phase, values=values).values)

    monkeypatch.setattr(workflow, "choose_genes", asks)
    sites = real_sites(tmp_path, ["a", "b", "c"])
    task = workflow.__name__.lower()
    with pytest.raises(SiteFailure, match=f"phase {phase} is none of a run of {task}"):
        run(tmp_path / "out", list(sites.values()), **_settings(task))
    assert not seen
    for name in sites:
        assert lines(tmp_path / name / "outbox.jsonl")[-1]["refused"]["kind"] == "PolicyError"


def _settings(task):
    if task == "correct":
        return {}
    defaults = {"rounds": 0, "hidden": "", "latent_dim": 0, "batch_size": 0}
    return {**SETTINGS[task], **defaults}

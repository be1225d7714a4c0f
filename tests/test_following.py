"""`syncytium run` after it has submitted: what it makes of a SuperLink that says nothing."""

import itertools

import pytest

from cli.console import console
from cli.flower import Flower
from cli.progress import RunProgress
from cli.run import _follow
from common.errors import RunError


@pytest.fixture
def follow(tmp_path, monkeypatch):
    """Follows run 1 past these answers of `flwr ls`; a text is Flower's error."""
    monkeypatch.setattr("cli.run.ASK_FLOWER_AFTER", 0.0)
    monkeypatch.setattr("cli.run.POLL_SECONDS", 0.0)

    def to_the_end(*answers):
        coming = iter(answers)

        def status(self, run_id):
            answer = next(coming)
            if isinstance(answer, str):
                raise RunError(answer)
            return answer

        monkeypatch.setattr(Flower, "status", status)
        monkeypatch.setattr(Flower, "log", lambda self, run_id: "what it said\n")
        with RunProgress(tmp_path, console()) as progress:
            return _follow(Flower("clinic"), "1", progress, tmp_path / "flower.log")

    return to_the_end


def test_a_superlink_that_is_gone_is_told_with_the_way_on(follow):
    with pytest.raises(RunError, match=r"no longer answers \(unavailable\).*--resume"):
        follow("unavailable", "unavailable")


def test_one_answer_that_did_not_come_ends_nothing(follow):
    running = ("running", "")
    ended = ("finished:completed", "")
    assert follow("unavailable", running, "unavailable", running, ended) == {}


def test_a_server_app_that_died_is_told_with_the_way_on(follow):
    with pytest.raises(RunError, match=r"finished:failed: killed.*--resume goes on"):
        follow(*itertools.repeat(("running", ""), 3), ("finished:failed", "killed"))

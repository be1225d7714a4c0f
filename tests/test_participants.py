"""The site's record of whom it was summed with: no sum over other sites, none answered twice."""

import itertools
import logging
import subprocess
import sys

import numpy as np
import pytest

from client.participants import ParticipantRecord
from common.errors import ConfigError, PolicyError, SecureSumError, SiteFailure
from common.wire import PHASES
from tests.real_sites import real_sites, run
from tests.small_sites import lines

FIVE = ["a", "b", "c", "d", "e"]


def record(folder, **changed):
    return ParticipantRecord(folder, **{"dataset": "cells", "refuse": True, **changed})


def summed(own, run, phase="moments", sites=FIVE, name="0", memory="m"):
    """A whole sum, as the site sees it."""
    own.begin(run, memory, name, phase, sites)
    own.settle(run, memory, name, phase, sites)


def test_the_same_sites_again_are_no_difference(tmp_path):
    own = record(tmp_path)
    for number in ("1", "2"):
        for round_ in range(3):
            summed(own, number, "fit", name=str(round_))
    assert [line["run"] for line in lines(tmp_path / "participants.jsonl")] == ["1", "2"]


OTHERS = [FIVE[:4], [*FIVE, "f"], [*FIVE[:4], "f"], [*FIVE, "f", "g", "h"], ["a", "x", "y"]]


@pytest.mark.parametrize("now", OTHERS)
@pytest.mark.parametrize("phase", ["moments", "latents"])
def test_other_sites_are_refused_before_anything_is_computed(tmp_path, now, phase):
    """Whatever is summed: one phase's fields can be made of another's."""
    own = record(tmp_path)
    summed(own, "1")
    shown = ", ".join(sorted(set(now) ^ set(FIVE)))
    with pytest.raises(PolicyError, match=rf"policy rule differences.*would show {shown};"):
        own.begin("2", "m", "0", phase, now)
    assert len(lines(tmp_path / "participants.jsonl")) == 1


def test_sums_that_differ_by_many_sites_add_up_to_one():
    """Why no difference is large enough: each site is in two of three, and one is left."""
    vectors = {name: np.random.default_rng(i).normal(size=4) for i, name in enumerate(FIVE)}
    one, two, three = (sum(vectors[name] for name in names) for names in ("abc", "ade", "bcde"))
    assert all(
        len(set(x) ^ set(y)) >= 3 for x, y in itertools.combinations(("abc", "ade", "bcde"), 2)
    )
    np.testing.assert_allclose((one + two - three) / 2, vectors["a"])


def test_a_site_lost_within_a_run_may_be_missed(tmp_path):
    own = record(tmp_path)
    summed(own, "1")
    own.begin("1", "m", "1", "fit", FIVE)
    own.settle("1", "m", "1", "fit", FIVE[:4])
    summed(own, "1", "correct", FIVE[:4], "2")
    # Whoever was lost does not come back for the second half, nor others instead.
    with pytest.raises(PolicyError, match="this run's first sum was over a, b, c, d, e"):
        own.begin("1", "m", "3", "peaks", ["a", "b", "c", "x"])
    # The next run is over all again.
    summed(own, "2")


def test_what_would_show_a_lost_sites_expression_is_over_the_same_sites(tmp_path):
    """The sums of scaled expression are those of the moments, in other units."""
    assert [name for name, phase in PHASES.items() if not phase.may_lose] == [
        "principal_axes",
        "evaluation_axes",
        "evaluation_moments",
        "evaluation_features",
        "evaluation_probe",
        "marker_genes",
        "classifier_fit",
        "linear_gradient",
        "bin_counts",
        "tree_sums",
        "validation",
        "held_out",
    ]
    own = record(tmp_path)
    summed(own, "1")
    with pytest.raises(PolicyError, match="principal_axes is summed over a, b, c, d,"):
        own.begin("1", "m", "1", "principal_axes", FIVE[:4])


def test_a_sum_is_answered_once_and_opened_over_one_list(tmp_path):
    """Also by a process that does not know of the one before."""
    record(tmp_path).begin("1", "m", "0", "moments", FIVE)
    with pytest.raises(SecureSumError, match="sum 0 of run 1 was asked for twice"):
        record(tmp_path).begin("1", "m", "0", "moments", FIVE)
    record(tmp_path).settle("1", "m", "0", "moments", FIVE[:4])
    record(tmp_path).settle("1", "m", "0", "moments", FIVE[:4])
    with pytest.raises(SecureSumError, match=r"survivors were a, b, c, d and are now"):
        record(tmp_path).settle("1", "m", "0", "moments", FIVE)


def test_a_runs_id_is_used_once(tmp_path):
    """Else a second run under it would be taken for the same one."""
    summed(record(tmp_path), "1")
    with pytest.raises(SecureSumError, match="run 1 has begun with other keys of this site"):
        record(tmp_path).begin("1", "other", "7", "moments", FIVE[:4])


BOTH = """
import sys
from pathlib import Path
from client.participants import ParticipantRecord
from common.errors import SecureSumError
own = ParticipantRecord(Path(sys.argv[1]), "cells", True)
print("ready", flush=True)
for number in range(30):
    sys.stdin.readline()
    try:
        own.settle("1", "m", str(number), "fit", sys.argv[2].split())
        print("settled", flush=True)
    except SecureSumError:
        print("refused", flush=True)
"""


def test_two_processes_of_a_site_never_both_settle(tmp_path):
    """Flower may start a second one while the first is at work."""
    both = [
        subprocess.Popen(
            [sys.executable, "-c", BOTH, tmp_path, names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for names in ("a b c", "a b c d")
    ]
    summed(record(tmp_path), "1", sites=["a", "b", "c", "d"], name="first")
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for _ in range(30):
        for process in both:
            process.stdin.write("go\n")
            process.stdin.flush()
        said = sorted(process.stdout.readline().strip() for process in both)
        assert said == ["refused", "settled"]
    for process in both:
        process.communicate()


def test_a_simulation_warns(tmp_path, caplog):
    own = record(tmp_path, refuse=False)
    summed(own, "1")
    with caplog.at_level(logging.WARNING, logger="syncytium.site"):
        summed(own, "2", sites=FIVE[:4])
    assert "the difference would show e" in caplog.text
    assert len(lines(tmp_path / "participants.jsonl")) == 2


def test_other_cells_have_a_record_of_their_own(tmp_path):
    summed(record(tmp_path), "1")
    summed(record(tmp_path, dataset="others"), "2", sites=FIVE[:4])


@pytest.mark.parametrize(("file", "run"), [("participants.jsonl", "2"), ("sums/1.jsonl", "1")])
def test_a_damaged_record_stops_the_sum(tmp_path, file, run):
    own = record(tmp_path)
    summed(own, "1")
    path = tmp_path / file
    path.write_text(path.read_text()[:-9])
    with pytest.raises(ConfigError, match="cannot be read"):
        own.begin(run, "m", "1", "peaks", FIVE)


def test_a_second_run_without_one_site_is_refused_before_anything_is_summed(tmp_path):
    sites = real_sites(tmp_path, FIVE)
    run(tmp_path / "one", list(sites.values()), run_id=1)
    run(tmp_path / "again", list(sites.values()), run_id=2)
    replies = lines(tmp_path / "a" / "outbox.jsonl")
    with pytest.raises(SiteFailure, match=r"moments failed.*rule differences.*a site's part"):
        run(tmp_path / "two", [sites[name] for name in FIVE[:4]], run_id=3)
    later = lines(tmp_path / "a" / "outbox.jsonl")[len(replies) :]
    assert [line["phase"] for line in later] == ["describe", "identities", "offers", "moments"]
    assert later[-1]["refused"]["reason"].startswith("policy rule differences")
    # Who was in the earlier run is for the site's own eyes.
    assert "the difference would show e" in later[-1]["why"]
    assert "a, b, c, d, e" not in later[-1]["refused"]["reason"]


def test_a_run_goes_on_without_a_site_that_is_lost(tmp_path):
    """Within a run the record does not stand in its way."""
    sites = real_sites(tmp_path, FIVE)
    fits = []

    def lost(reply):
        fits.append(reply.metadata.message_type)
        late = fits.count("train.fit") > 5 and reply.metadata.src_node_id == 5
        return None if late else reply

    settings = {"on-site-error": "continue", "deadline": 2.0, "rounds": 2}
    done = run(tmp_path / "out", list(sites.values()), tamper=lost, **settings)
    assert done["status"] == "finished"
    assert set(done["lost_sites"]) == {"e"}

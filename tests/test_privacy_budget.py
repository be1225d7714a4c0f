"""Privacy budgets: never overspent, by whatever order, process, kill or damage."""

import json
import math
import os
import re
import signal
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import BudgetError, ConfigError, DiskError, PolicyError
from common.privacy.analytic_gaussian import mu_for
from common.privacy.budget import Budget
from common.privacy.composition import composed_epsilon
from common.privacy.site_budget import FILE, SiteBudget, Whole
from common.privacy.spends import GaussianSpend, PureSpend, SkellamSpend

DELTA = 1e-5
WHOLE = mu_for(1.0, DELTA)
TENTH = GaussianSpend(mu=WHOLE / math.sqrt(10) * (1 - 1e-9))


def budget_at(folder, **changed):
    settings = {"dataset": "cohort", "unit": "donor", "epsilon": 1.0, "delta": DELTA}
    return SiteBudget(folder, **{**settings, **changed})


def test_what_was_calibrated_for_a_budget_fits_it_exactly():
    for epsilon in (0.1, 1.0, 7.3, 60):
        budget = Budget(epsilon, DELTA)
        total = budget.spend(GaussianSpend(mu=mu_for(epsilon, DELTA)))
        assert epsilon * (1 - 1e-6) < total <= epsilon
        with pytest.raises(BudgetError):
            budget.spend(GaussianSpend(mu=0.01))


def test_ten_tenths_fit_and_the_eleventh_does_not():
    budget = Budget(1.0, DELTA)
    for _ in range(10):
        budget.spend(TENTH)
    with pytest.raises(BudgetError, match=r"epsilon 1 at delta 1e-05: 1 is spent .* make it 1\.05"):
        budget.spend(TENTH)
    assert len(budget.spends) == 10


def test_a_composition_is_not_a_sum_of_epsilons():
    budget = Budget(1.0, DELTA)
    alone = composed_epsilon([TENTH], DELTA)
    for _ in range(10):
        budget.spend(TENTH)
    assert 10 * alone > 2.5


def test_all_of_a_release_or_nothing():
    budget = Budget(1.0, DELTA)
    with pytest.raises(BudgetError):
        budget.spend(TENTH, GaussianSpend(mu=WHOLE))
    assert budget.spends == ()
    assert budget.spent == 0


MORE = st.one_of(
    st.builds(GaussianSpend, mu=st.floats(0.001, 0.5), times=st.integers(1, 20)),
    st.builds(GaussianSpend, mu=st.floats(1e-300, 1e-3), ratio=st.floats(0, 0.1)),
    st.builds(SkellamSpend, l1=st.just(2.0), l2=st.just(2.0), variance=st.floats(1, 1e4)),
)


@given(st.lists(MORE, max_size=12), st.floats(0.05, 3))
@settings(max_examples=60)
def test_no_order_of_spends_exceeds_a_budget(spends, epsilon):
    budget = Budget(epsilon, DELTA)
    for spend in spends:
        before = budget.spends
        try:
            budget.spend(spend)
        except BudgetError:
            assert budget.spends == before
            assert composed_epsilon([*before, spend], DELTA) > epsilon
    assert budget.spent <= epsilon


BARE = [
    GaussianSpend(mu=1e300),
    GaussianSpend(mu=1e300, sampling=0.5),
    GaussianSpend(mu=0.1, ratio=1e300, times=10),
    PureSpend(epsilon=1e300, times=10),
    PureSpend(epsilon=0.1, delta=0.5),
    SkellamSpend(l1=1e15, l2=1.0, variance=1e-300),
    SkellamSpend(l1=1e15, l2=1e15, variance=1.0),
    SkellamSpend(l1=1e15, l2=1.0, variance=1.0),
]


@pytest.mark.parametrize("spend", BARE, ids=str)
def test_a_spend_without_privacy_never_fits(spend):
    with pytest.raises(BudgetError, match="inf"):
        Budget(100.0, DELTA).spend(spend)


@pytest.mark.parametrize(("epsilon", "delta"), [(0, DELTA), (math.nan, DELTA), (1, 0), (1, 0.9)])
def test_an_absurd_budget_is_refused(tmp_path, epsilon, delta):
    with pytest.raises(ConfigError):
        Budget(epsilon, delta)
    with pytest.raises(ConfigError):
        budget_at(tmp_path, epsilon=epsilon, delta=delta)


def test_a_site_keeps_its_spends_over_its_processes(tmp_path):
    for i in range(10):
        budget_at(tmp_path).reserve(f"run-{i}", [TENTH])
        budget_at(tmp_path).commit(f"run-{i}")
    with pytest.raises(BudgetError, match="data set cohort") as refused:
        budget_at(tmp_path).reserve("run-10", [TENTH])
    assert isinstance(refused.value, PolicyError)
    # What was spent before is not the coordinator's to know.
    assert "1.05" in str(refused.value)
    assert not re.search(r"\d", refused.value.public)
    assert 0.99 < budget_at(tmp_path).spent() <= 1
    # The policy may allow more later; what is spent stays.
    assert budget_at(tmp_path, epsilon=1.2).reserve("run-10", [TENTH]) > 1
    with pytest.raises(BudgetError):
        budget_at(tmp_path, epsilon=0.5).reserve("run-11", [TENTH])


def test_other_data_sets_have_their_own(tmp_path):
    budget_at(tmp_path).reserve("run", [GaussianSpend(mu=WHOLE)])
    budget_at(tmp_path, dataset="other", unit="record").reserve("run", [GaussianSpend(mu=WHOLE)])
    assert budget_at(tmp_path, dataset="third").spent() == 0


def test_one_unit_per_data_set(tmp_path):
    budget_at(tmp_path).reserve("run", [TENTH])
    with pytest.raises(ConfigError, match="per donor, and record is asked"):
        budget_at(tmp_path, unit="record").reserve("run-2", [TENTH])


def test_a_release_is_made_once(tmp_path):
    budget = budget_at(tmp_path)
    budget.reserve("run", [TENTH])
    with pytest.raises(BudgetError, match="run was made before"):
        budget.reserve("run", [TENTH])
    budget.commit("run")
    for release in ("run", "unknown"):
        with pytest.raises(BudgetError, match="not reserved"):
            budget.commit(release)


@pytest.mark.parametrize("changed", [{"dataset": " "}, {"unit": "cell"}])
def test_a_budget_needs_a_name_and_a_unit(tmp_path, changed):
    with pytest.raises(ConfigError):
        budget_at(tmp_path, **changed)


def test_a_release_without_a_spend_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="states no spend"):
        budget_at(tmp_path).reserve("run", [])


def truncated(text):
    return text[: len(text) // 2]


def cheaper(text):
    return text.replace(f"{TENTH.mu!r}", f"{TENTH.mu / 100!r}")


def forgetful(text):
    return json.dumps({**json.loads(text), "releases": []})


DAMAGES = [truncated, cheaper, forgetful, lambda text: "", lambda text: "[]", lambda text: "{}"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_an_error_and_never_a_new_budget(tmp_path, damage):
    budget_at(tmp_path).reserve("run", [TENTH])
    path = tmp_path / FILE
    damaged = damage(path.read_text())
    path.write_text(damaged)
    for use in (
        budget_at(tmp_path).spent,
        lambda: budget_at(tmp_path).reserve("run-2", [TENTH]),
        lambda: budget_at(tmp_path).commit("run"),
    ):
        with pytest.raises(ConfigError, match=r"privacy_budget\.json cannot be used"):
            use()
    assert path.read_text() == damaged


def test_a_lost_record_is_an_error(tmp_path):
    budget = budget_at(tmp_path)
    assert budget.spent() == 0
    budget.reserve("run", [TENTH])
    (tmp_path / FILE).unlink()
    with pytest.raises(ConfigError, match="it is gone"):
        budget.reserve("run-2", [TENTH])


def test_bytes_that_are_no_text_are_damage(tmp_path):
    budget_at(tmp_path).reserve("run", [TENTH])
    (tmp_path / FILE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be used"):
        budget_at(tmp_path).spent()


def test_a_record_that_cannot_be_written_reserves_nothing(tmp_path, monkeypatch):
    budget_at(tmp_path).reserve("run", [TENTH])

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskError, match="No space left"):
        budget_at(tmp_path).reserve("run-2", [TENTH])
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert budget_at(tmp_path).spent() == composed_epsilon([TENTH], DELTA)


KILLED = """
import os, signal, sys
from pathlib import Path
from common.privacy.site_budget import SiteBudget
from common.privacy.spends import GaussianSpend
budget = SiteBudget(Path(sys.argv[1]), "cohort", "donor", 1.0, 1e-5)
if sys.argv[2] == "before":
    Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
budget.reserve("killed", [GaussianSpend(mu=0.2)])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_that_is_killed_leaves_a_whole_record(tmp_path, when):
    budget_at(tmp_path).reserve("first", [TENTH])
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), when], check=False)
    assert done.returncode == -signal.SIGKILL
    spends = [TENTH, GaussianSpend(mu=0.2)] if when == "after" else [TENTH]
    assert budget_at(tmp_path).spent() == composed_epsilon(spends, DELTA)
    with pytest.raises(BudgetError):
        budget_at(tmp_path).reserve("last", [GaussianSpend(mu=WHOLE)])


SPENDER = """
import fcntl, sys, time
from pathlib import Path
from common.errors import BudgetError
from common.privacy.site_budget import SiteBudget, Whole
from common.privacy.spends import GaussianSpend
folder, name, mu, locked, epsilon = sys.argv[1:]
if locked == "no":
    fcntl.flock = lambda *_: None
write = SiteBudget._write
def slowly(*args):
    time.sleep(0.02)
    write(*args)
SiteBudget._write = slowly
budget = SiteBudget(Path(folder), "cohort", "donor", float(epsilon), 1e-5)
run = Whole("run/", 1.0, 1e-5)
print("ready", flush=True)
sys.stdin.readline()
got = 0
for i in range(8):
    try:
        budget.reserve(f"run/{name}-{i}", [GaussianSpend(mu=float(mu))], run)
        got += 1
    except BudgetError:
        pass
print(got)
"""


def spend_at_once(folder, locked, epsilon=1.0):
    """How many tenths three processes get that ask for eight each."""
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                SPENDER,
                str(folder),
                name,
                repr(TENTH.mu),
                locked,
                str(epsilon),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "abc"
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    return sum(int(process.communicate(timeout=60)[0]) for process in processes)


@pytest.mark.parametrize("epsilon", [1.0, 50.0])
def test_processes_at_once_never_overspend(tmp_path, epsilon):
    """Neither the data set's budget nor, where that is larger, the run's."""
    assert spend_at_once(tmp_path, "yes", epsilon) == 10
    assert 0.99 < budget_at(tmp_path).spent() <= 1


@pytest.mark.parametrize("epsilon", [1.0, 50.0])
def test_without_the_lock_they_do(tmp_path, epsilon):
    assert spend_at_once(tmp_path, "no", epsilon) > 10


def test_a_whole_that_cannot_be_paid_to_its_end_is_not_begun(tmp_path):
    nine = [TENTH] * 9
    for whole, said in (
        (Whole("run/", 0.9, DELTA, nine), "more than the run's own epsilon = 0.9"),
        (Whole("run/", 50.0, DELTA, [*nine, TENTH]), "more than is left of these cells' budget"),
    ):
        with pytest.raises(BudgetError, match="would make it") as refused:
            budget_at(tmp_path).reserve("run/1", [TENTH], whole)
        assert said in refused.value.public
    assert budget_at(tmp_path).spent() == 0
    # What other runs took is the data set's matter alone.
    budget_at(tmp_path).reserve("other/1", [TENTH])
    eight = Whole("run/", 0.95, DELTA, [TENTH] * 8)
    assert budget_at(tmp_path).reserve("run/1", [TENTH], eight) < 0.95

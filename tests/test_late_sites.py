"""Sites that answer too late, or come back: what was lost once is in no later sum."""

from dataclasses import replace

import pytest

from common.errors import SecureSumError
from common.wire import PHASES
from server.federation import Federation
from tests.in_process import InProcessGrid
from tests.small_sites import three_sites, write_sites
from tests.test_secure_sum import CONTINUE, SITES, masked_federation, moments


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_sites(tmp_path_factory.mktemp("late") / "data", three_sites())


@pytest.fixture(autouse=True)
def moments_any_number_of_times(monkeypatch):
    """A run needs them once, and a site refuses more."""
    monkeypatch.setitem(PHASES, "moments", replace(PHASES["moments"], times=9))


@pytest.fixture
def late(monkeypatch):
    """Replies of node 2 to messages of one kind arrive when they are asked for the n-th time."""

    def hold_back(kind, pulls=10**9):
        real, asked = InProcessGrid.pull_messages, []

        def pull(grid, message_ids):
            arrived = real(grid, message_ids)
            held = [
                reply
                for reply in arrived
                if reply.metadata.src_node_id == 2 and reply.metadata.message_type == kind
            ]
            asked.append(len(held))
            if held and len(asked) < pulls:
                grid.replies += held
                return [reply for reply in arrived if reply not in held]
            return arrived

        monkeypatch.setattr(InProcessGrid, "pull_messages", pull)

    return hold_back


def waiting(federation: Federation):
    """Kinds of the replies that nobody has taken."""
    return [reply.metadata.message_type for reply in federation.grid.replies]


N_CELLS = [data.n_obs for data in SITES]


def test_a_late_upload_is_never_looked_at(data, tmp_path, late):
    federation, sums = masked_federation(data, tmp_path, **CONTINUE)
    late("query.moments")
    for attempt in (0, 1):
        summed = federation.run(moments(sums, attempt=attempt))
        assert (summed.n_sites, summed.count("n_cells")) == (2, N_CELLS[0] + N_CELLS[2])
    # It is there, and no sum takes it.
    assert waiting(federation) == ["query.moments"]


def test_a_late_reveal_is_never_looked_at(data, tmp_path, late):
    federation, sums = masked_federation(data, tmp_path, **CONTINUE)
    late("query.reveal")
    assert federation.run(moments(sums)).n_sites == 3
    assert federation.run(moments(sums, attempt=1)).n_sites == 2
    assert waiting(federation) == ["query.reveal"]


def test_an_upload_within_the_deadline_counts(data, tmp_path, late):
    federation, sums = masked_federation(data, tmp_path, **CONTINUE)
    late("query.moments", pulls=3)
    assert federation.run(moments(sums)).n_sites == 3


def test_a_site_that_comes_back_is_in_no_sum_without_new_keys(data, tmp_path, late, monkeypatch):
    federation, sums = masked_federation(data, tmp_path, **CONTINUE)
    with monkeypatch.context() as once:
        real = InProcessGrid.pull_messages
        once.setattr(
            InProcessGrid,
            "pull_messages",
            lambda grid, ids: [r for r in real(grid, ids) if r.metadata.src_node_id != 2],
        )
        assert federation.run(moments(sums)).n_sites == 2
    federation.node_ids = [1, 2, 3]
    with pytest.raises(SecureSumError, match=r"no keys of 2; run again"):
        federation.run(moments(sums, attempt=1))

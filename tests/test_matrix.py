"""The preprocessed matrix on disk, and its dense mini-batches."""

import numpy as np
import pytest
from scipy import sparse

from common.data.csr import open_csr, row_chunks, write_csr
from common.data.matrix import ExpressionMatrix
from common.panel import Scaling


@pytest.mark.parametrize("density", [0.0, 0.2, 1.0])
def test_written_and_opened_again(tmp_path, density):
    matrix = sparse.random(50, 30, density, "csr", dtype=np.float32, random_state=0)
    write_csr((matrix[i : i + 7] for i in range(0, 50, 7)), 30, tmp_path / "m")
    again = open_csr(tmp_path / "m")
    assert again.shape == (50, 30)
    assert again.dtype == np.float32
    np.testing.assert_array_equal(again.toarray(), matrix.toarray())
    np.testing.assert_array_equal(again[[3, 3, 1]].toarray(), matrix[[3, 3, 1]].toarray())


def test_a_matrix_without_cells(tmp_path):
    write_csr([], 30, tmp_path / "m")
    assert open_csr(tmp_path / "m").shape == (0, 30)


def test_the_first_of_two_writers_wins_and_leaves_nothing_beside(tmp_path):
    first = sparse.random(9, 4, 0.5, "csr", dtype=np.float32, random_state=0)
    write_csr([first], 4, tmp_path / "m")
    write_csr([2 * first], 4, tmp_path / "m")
    np.testing.assert_array_equal(open_csr(tmp_path / "m").toarray(), first.toarray())
    assert list(tmp_path.iterdir()) == [tmp_path / "m"]


def test_row_chunks_of_the_memory_maps(tmp_path):
    matrix = sparse.random(50, 30, 0.2, "csr", dtype=np.float32, random_state=0)
    write_csr([matrix], 30, tmp_path / "m")
    chunks = list(row_chunks(open_csr(tmp_path / "m"), 21))
    assert [chunk.shape[0] for chunk in chunks] == [21, 21, 8]
    np.testing.assert_array_equal(sparse.vstack(chunks).toarray(), matrix.toarray())


def test_mini_batches_are_scaled_and_clipped():
    log = sparse.random(20, 6, 0.5, "csr", dtype=np.float32, random_state=1) * 8
    scaling = Scaling(np.full(6, 0.5, np.float32), np.linspace(0.05, 2, 6, dtype=np.float32))
    rows = np.array([19, 0, 4])
    expected = np.clip((log.toarray()[rows] - scaling.mean) / scaling.sd, -10, 10)
    assert (expected == 10).any()
    ours = ExpressionMatrix(log, scaling).scaled(rows).numpy()
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_chunks_cover_every_cell_once():
    matrix = ExpressionMatrix(sparse.csr_matrix((25, 2), dtype=np.float32), unscaled())
    rows = [i for chunk in matrix.chunks(10) for i in range(25)[chunk]]
    assert rows == list(range(25))


def unscaled() -> Scaling:
    return Scaling(np.zeros(2, np.float32), np.ones(2, np.float32))


def test_a_fault_midway_leaves_nothing(tmp_path):
    def chunks():
        yield sparse.csr_matrix(np.ones((3, 4), np.float32))
        raise RuntimeError("read error")

    with pytest.raises(RuntimeError, match="read error"):
        write_csr(chunks(), 4, tmp_path / "cache" / "m")
    assert list((tmp_path / "cache").iterdir()) == []

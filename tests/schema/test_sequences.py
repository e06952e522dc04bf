"""Rows of a file of values per sequence, in whatever order, and the fingerprint of a file."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stbench.schema import sequences
from stbench.schema.sequences import SequenceSet, fingerprint


@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4, 5], [3, 4, 5, 0, 1, 2], [1, 0, 2, 3, 4, 5], [0, 3, 1, 4, 2, 5]])
def test_rows_in_order_need_no_sorting_and_read_the_same(rows: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    columns = np.array([4, 4, 4, 9, 9, 9])[rows], np.array([1, 2, 3, 1, 2, 3])[rows]
    quick = sequences._layout_of(*columns, 3)
    monkeypatch.setattr(sequences, "_numbers_in_order", lambda *_: None)
    sorted_ = sequences._layout_of(*columns, 3)
    assert quick.sequences == sorted_.sequences == SequenceSet.of(np.array([4, 9]))
    orders = [np.arange(6) if found.order is None else found.order for found in (quick, sorted_)]
    assert (orders[0] == orders[1]).all()
    assert (np.array(rows)[orders[0]] == np.arange(6)).all()


def test_another_extreme_value_is_another_fingerprint(tmp_path: Path) -> None:
    file, seen = tmp_path / "x.parquet", set()
    for last in (3.0, 4.0):
        pq.write_table(pa.table({"x": [1.0, last, 2.0]}), file)
        seen |= {fingerprint(file), fingerprint(file)}
    assert len(seen) == 2


@pytest.mark.parametrize("content", [b"", b"PAR1", b"\xff\xff\xff\xffPAR1", b"x" * 100, b"\xff\xff\xff\x7fPAR1" * 4])
def test_what_is_no_parquet_file_has_no_fingerprint(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ValueError, match="no Parquet file"):
        fingerprint(tmp_path / "x")

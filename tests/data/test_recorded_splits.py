"""Every layout gives the recorded windows, clips and scaling, so that no change of the pipeline moves a benchmark."""

from pathlib import Path

import pytest

from tests.data.recorded_splits import CASES, REAL_CASES, RECORDED, lines

TEXT = RECORDED.read_text().splitlines()


def expected(case: str) -> list[str]:
    return [line for line in TEXT if line.startswith(f"{case} ")]


@pytest.mark.parametrize("case", CASES)
def test_tiny_files_give_the_recorded_splits(case: str, tmp_path: Path) -> None:
    assert list(lines(case, tmp_path)) == expected(case)


@pytest.mark.parametrize("case", REAL_CASES)
def test_real_files_give_the_recorded_splits(case: str, tmp_path: Path, shared_dir: Path) -> None:
    assert list(lines(case, tmp_path)) == expected(case)


def test_the_record_holds_these_cases_and_no_other() -> None:
    assert {" ".join(line.split()[:2]) for line in TEXT} == set(CASES | REAL_CASES)

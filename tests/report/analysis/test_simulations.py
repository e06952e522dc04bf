"""Error rates of marks and intervals, by simulation; docs/statistics.md has the same cases with more tables."""

import pytest

from scripts.simulate_statistics import (
    NULLS,
    PAIRS,
    POWERS,
    SCORES,
    Case,
    heavy,
    persistent,
    simulate,
    simulate_former,
    simulate_scores,
    windows,
)

TABLES = 200
ROOM = 2.5
"""Standard errors of the simulation that a share may lie beyond its bound."""


def error(share: float, tables: int = TABLES) -> float:
    return ROOM * float((share * (1 - share) / tables) ** 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("case", PAIRS.values(), ids=PAIRS)
def test_intervals_of_a_pair_hold_the_true_difference(case: Case) -> None:
    coverage = simulate(case, 2 * TABLES).coverage
    room = error(0.95, 2 * TABLES)
    assert 0.93 - room <= coverage <= 0.97 + room


@pytest.mark.slow
@pytest.mark.parametrize("case", SCORES.values(), ids=SCORES)
def test_intervals_of_a_score_hold_the_true_one(case: Case) -> None:
    held = simulate_scores(case, 2 * TABLES)
    room = error(0.95, 2 * TABLES)
    assert 0.93 - room <= held <= 0.97 + room


GRID = {
    f"{rows} rows, {seeds} seeds, {sequences} sequences": Case(rows, seeds, sequences)
    for rows in (3, 6, 12)
    for seeds in (2, 3, 5)
    for sequences in (50, 200)
}
HARD = {
    "6 rows, 2 seeds, heavy tails": Case(6, 2, 200, heavy),
    "6 rows, 3 seeds, overlapping windows": Case(6, 3, 320, windows),
    "3 rows, 5 seeds, as TaxiNYC": Case(3, 5, 960, persistent),
    "6 rows, 2 seeds that decide": Case(6, 2, 200, between=1.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", [*NULLS.values(), *GRID.values(), *HARD.values()], ids=[*NULLS, *GRID, *HARD])
def test_tables_of_equal_rows_seldom_carry_a_mark(case: Case) -> None:
    assert simulate(case, TABLES).any_mark <= 0.06 + error(0.06)


@pytest.mark.slow
@pytest.mark.parametrize("case", POWERS.values(), ids=POWERS)
def test_a_clear_lead_is_still_found(case: Case) -> None:
    """Honest error rates cost power against the former procedure, which marked equal rows too."""
    power = simulate(case, TABLES).power
    _, before = simulate_former(case, TABLES // 2)
    assert power >= 0.3 * before

"""Intervals and agreement against closed forms, published examples and simulated raters."""

import numpy as np
import pytest
from scipy import stats

from sdedit_jax.survey.statistics import agreement, effective_count, interval, wilson


def grid(raters, guides):
    """Whose each answer is and about which guide, where every rater answers about every guide."""
    rater, guide = np.indices((raters, guides))
    return rater.ravel(), guide.ravel()


@pytest.mark.parametrize(("mean", "count"), [(0.0, 10), (0.5, 10), (0.83, 1500), (1.0, 7)])
def test_wilson_is_the_solution_of_its_equation(mean, count):
    z = 1.96
    ends = np.array(wilson(mean, count, z))
    # The ends are the proportions p from which the mean lies z of p's own standard errors away.
    np.testing.assert_allclose((mean - ends) ** 2, z**2 * ends * (1 - ends) / count, atol=1e-12)
    expected = stats.binomtest(round(mean * count), count).proportion_ci(method="wilson")
    np.testing.assert_allclose(ends, [expected.low, expected.high], atol=1e-4)  # whose z has more digits


def test_copies_of_a_rater_or_of_a_guide_are_worth_nothing():
    """Where all raters say the same, there are as many answers as guides, but for the small-sample factor."""
    rater, guide = grid(8, 20)
    by_guide = (guide % 4 > 0).astype(float)
    rows = effective_count(by_guide, [rater, guide])
    # Variance: guides 20/19 p(1-p)/20; raters all have the mean, so 0; minus p(1-p)/160.
    assert rows == pytest.approx(1 / (1 / 19 - 1 / 160))
    assert effective_count((rater % 4 > 0).astype(float), [rater, guide]) == pytest.approx(1 / (1 / 7 - 1 / 160))
    assert effective_count(by_guide, [guide]) == pytest.approx(19)


def test_independent_answers_count_fully_and_never_more():
    rater, guide = grid(20, 30)
    chosen = ((rater + guide) % 2).astype(float)  # each rater and each guide is split evenly
    assert effective_count(chosen, [rater, guide]) == 600
    assert interval(chosen, rater, guide)[2] == 600


def test_where_all_answers_are_the_same_the_fewest_clusters_count():
    rater, guide = grid(5, 12)
    low, high, effective = interval(np.ones(60), rater, guide)
    assert effective == 5 and high == 1.0
    t = stats.t.ppf(0.975, 4)
    assert low == pytest.approx(5 / (5 + t**2))


def test_a_single_rater_tells_of_the_guides_and_a_single_answer_of_nothing():
    guide = np.arange(16)
    chosen = (guide % 2).astype(float)
    low, high, effective = interval(chosen, np.zeros(16, int), guide)
    assert effective == pytest.approx(15) and 0.2 < low < 0.5 < high < 0.8
    low, high, effective = interval(np.ones(1), np.zeros(1, int), np.zeros(1, int))
    assert effective == 1 and low < 0.01 and high == 1.0


def test_the_interval_holds_the_truth_where_the_plain_one_does_not():
    """Raters and guides drawn anew each time, with effects of their own on the logit."""
    rng = np.random.default_rng(0)
    rater, guide = grid(10, 30)
    logit = 1.5 + rng.normal(size=200_000) * np.hypot(0.5, 1.0)
    truth = (1 / (1 + np.exp(-logit))).mean()
    held = plainly = 0
    trials = 200
    for _ in range(trials):
        logits = 1.5 + 0.5 * rng.normal(size=(10, 1)) + rng.normal(size=(1, 30))
        chosen = (rng.random((10, 30)) < 1 / (1 + np.exp(-logits))).astype(float).ravel()
        low, high, _ = interval(chosen, rater, guide)
        held += low <= truth <= high
        low, high = wilson(chosen.mean(), chosen.size, 1.96)
        plainly += low <= truth <= high
    assert held / trials > 0.95 - 3 * np.sqrt(0.95 * 0.05 / trials)  # three standard errors
    assert plainly / trials < 0.85


def test_alpha_of_the_published_example():
    """Krippendorff 2011, two observers, binary data without missing answers: alpha = 0.095."""
    jon, han = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    alpha, agreeing = agreement(np.array(jon + han), np.tile(np.arange(10), 2))
    assert alpha == pytest.approx(1 - (20 - 1) * 4 / (14 * 6))  # 1 - (n - 1) o_01 / (n_0 n_1)
    assert round(alpha, 3) == 0.095 and agreeing == pytest.approx(0.6)


def test_alpha_is_one_for_full_agreement_about_zero_for_chance_and_negative_for_quarrel():
    units = np.tile(np.arange(500), 4)
    assert agreement(units % 2, units) == (1.0, 1.0)
    alpha, agreeing = agreement(np.random.default_rng(0).integers(0, 2, units.size), units)
    # The pairs of answers to one unit, 6 x 500, are independent of each other in pairs.
    assert abs(alpha) < 5 / np.sqrt(3000) and abs(agreeing - 0.5) < 2.5 / np.sqrt(3000)
    alpha, agreeing = agreement(np.repeat([0, 1], 500), np.tile(np.arange(500), 2))
    assert alpha == pytest.approx(1 - 999 / 500) and agreeing == 0.0


def test_missing_answers_and_lonely_units_do_not_count():
    units, chosen = np.array([0, 0, 0, 1, 1, 2, 3]), np.array([1, 1, 0, 0, 0, 1, 1])
    # Of the 5 answers that have company 2 are ones, and unit 0 gives o_01 = 2 x 1 / (3 - 1).
    alpha, agreeing = agreement(chosen, units)
    assert alpha == pytest.approx(1 - (5 - 1) * 1 / (2 * 3)) and agreeing == pytest.approx(2 / 4)
    assert agreement(np.array([1, 0]), np.array([0, 1])) == (None, None)
    assert agreement(np.ones(4), np.array([0, 0, 1, 1])) == (None, 1.0)

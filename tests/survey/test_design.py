"""Which pictures meet, on which side, and the catch trials."""

from collections import Counter

import pytest

from sdedit_jax.survey.design import BROKEN, QUESTIONS, design

NAMES = [f"{number:04}" for number in range(10)]
BASELINES = ["blur", "gan", "poisson"]


def parts(pages):
    return [[trial for trial in page if trial.question == question] for page in pages for question in QUESTIONS]


@pytest.mark.parametrize("per_page", [1, 4, 15, 1000])
def test_every_comparison_is_asked_once_for_each_question(per_page):
    pages = design(NAMES, "sdedit", BASELINES, per_page, seed=3)
    for question in QUESTIONS:
        asked = [t for page in pages for t in page if t.kind == "comparison" and t.question == question]
        pairs = Counter((trial.name, *sorted([trial.left, trial.right])) for trial in asked)
        assert pairs == {(name, *sorted(["sdedit", other])): 1 for name in NAMES for other in BASELINES}
    sizes = {sum(trial.kind == "comparison" for trial in part) for part in parts(pages)}
    assert max(sizes) <= per_page and max(sizes) - min(sizes) <= 1


def test_realism_comes_first_on_every_page_and_asks_the_same_comparisons():
    for page in design(NAMES, "sdedit", BASELINES, 4, seed=3):
        questions = [trial.question for trial in page]
        assert questions == sorted(questions) and len(page) == 2 * (len(page) // 2)
        first, second = parts([page])
        asked = [
            {(t.name, *sorted([t.left, t.right])) for t in part if t.kind == "comparison"} for part in (first, second)
        ]
        assert asked[0] == asked[1]


@pytest.mark.parametrize("seed", range(20))
def test_sides_are_balanced_so_a_rater_of_one_key_prefers_nothing(seed):
    for part in parts(design(NAMES, "sdedit", BASELINES, 15, seed)):
        left = sum(trial.left == "sdedit" for trial in part if trial.kind == "comparison")
        assert left in (7, 8)


@pytest.mark.parametrize("per_page", [1, 15])
@pytest.mark.parametrize("seed", range(20))
def test_each_part_has_its_catch_trials(per_page, seed):
    for part in parts(design(NAMES, "sdedit", BASELINES, per_page, seed)):
        broken = [trial for trial in part if trial.kind == "broken"]
        assert sorted((trial.left, trial.right) for trial in broken) == [(BROKEN, "sdedit"), ("sdedit", BROKEN)]
        comparisons = [trial for trial in part if trial.kind == "comparison"]
        (again,) = (trial for trial in part if trial.kind == "repeat")
        assert part[-1] == again and again.swapped("comparison") in comparisons[: (len(comparisons) + 1) // 2]
        assert len(part) == len(comparisons) + 3 and part[0].kind == "comparison"


def test_a_page_shows_a_guide_once_while_there_are_others():
    names, seen = [str(number) for number in range(30)], []
    for page in design(names, "sdedit", BASELINES, 15, seed=0):
        shown = [trial.name for trial in page if trial.kind == "comparison" and trial.question == "realism"]
        assert len(set(shown)) == len(shown) == 15
        seen.append({trial.left for trial in page} | {trial.right for trial in page})
    assert all(methods == {"sdedit", BROKEN, *BASELINES} for methods in seen)  # baselines take turns


def test_the_seed_decides_everything():
    first, again, other = (design(NAMES, "sdedit", BASELINES, 4, seed) for seed in (1, 1, 2))
    assert first == again and first != other


def test_the_method_behind_a_choice():
    trial = design(["a"], "sdedit", ["gan"], 1, 0)[0][0]
    assert {trial.method("left"), trial.method("right")} == {"sdedit", "gan"}
    assert trial.method("left") == trial.swapped("repeat").method("right")

"""Many raters' answers to the percentages of the paper."""

import dataclasses
import statistics as standard
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from sdedit_jax.survey import statistics
from sdedit_jax.survey.answers import FOLDER, Sitting, read_all
from sdedit_jax.survey.design import BROKEN, QUESTIONS
from sdedit_jax.survey.errors import SurveyError
from sdedit_jax.survey.key import read_key
from sdedit_jax.survey.results import Agreement, Results, Row


@dataclasses.dataclass(frozen=True)
class Answer:
    """One comparison by one rater."""

    question: str
    guide: str
    baseline: str
    rater: str
    prefers: bool
    """The method of the survey to the baseline."""


def aggregate(folder: Path) -> Results:
    """The results of the survey in `folder`: its key, and the raters' files in its folder `answers`.

    A sitting in which a broken picture was preferred once or more does not count. SurveyError if the key or all
    answers are missing, or if none can be counted.
    """
    key = read_key(folder)
    sittings, rejected = read_all(folder / FOLDER, key)
    attentive = [sitting for sitting in sittings if BROKEN not in [method for _, method in sitting.methods("broken")]]
    excluded = tuple(sitting.file for sitting in sittings if sitting not in attentive)
    if not attentive:
        why = "; ".join(rejected[:3]) or "in each a broken picture was preferred."
        raise SurveyError(f"None of the files in {folder / FOLDER} can be counted: {why}")
    answers = [answer for sitting in attentive for answer in _answers(sitting, key.method)]
    cells = [(question, baseline) for question in QUESTIONS for baseline in key.baselines]
    rows = [_row(key.method, [answer for answer in answers if (answer.question, answer.baseline) == c]) for c in cells]
    return Results(
        method=key.method,
        seed=key.seed,
        rows=tuple(row for row in rows if row is not None),
        agreements=tuple(_agreement(question, answers) for question in QUESTIONS),
        raters=len({sitting.rater for sitting in attentive}),
        sittings=len(attentive),
        excluded=excluded,
        rejected=tuple(rejected),
        self_agreement=standard.fmean(alike for sitting in attentive for alike in _alike(sitting)),
        left=_left(attentive),
        seconds_an_answer=standard.median(seconds for sitting in attentive for seconds in sitting.seconds),
    )


def _answers(sitting: Sitting, method: str) -> list[Answer]:
    answers = []
    for number, preferred in sitting.methods("comparison"):
        trial = sitting.page.trials[number]
        baseline = trial.right if trial.left == method else trial.left
        answers.append(Answer(trial.question, trial.name, baseline, sitting.rater, preferred == method))
    return answers


def _row(method: str, answers: Sequence[Answer]) -> Row | None:
    """The row of the answers to one question about one baseline; None if there are none."""
    if not answers:
        return None
    chosen = np.array([answer.prefers for answer in answers], np.float64)
    raters, guides = _numbers(answers, lambda answer: answer.rater), _numbers(answers, lambda answer: answer.guide)
    low, high, effective = statistics.interval(chosen, raters, guides)
    return Row(
        question=answers[0].question,
        method=method,
        baseline=answers[0].baseline,
        percent=100 * float(chosen.mean()),
        low=100 * float(low),
        high=100 * float(high),
        preferred=int(chosen.sum()),
        answers=len(answers),
        effective_answers=float(effective),
        raters=len(np.unique(raters)),
        guides=len(np.unique(guides)),
    )


def _agreement(question: str, answers: Sequence[Answer]) -> Agreement:
    """Over all comparisons of one question, of which each may have been answered by some raters only."""
    asked = [answer for answer in answers if answer.question == question]
    chosen = np.array([answer.prefers for answer in asked], np.float64)
    units = _numbers(asked, lambda answer: f"{answer.baseline}/{answer.guide}")
    return Agreement(question, *statistics.agreement(chosen, units))


def _numbers(answers: Sequence[Answer], name: Callable[[Answer], str]) -> np.ndarray:
    """(N,) numbers from 0, the same for answers of the same name."""
    return np.unique([name(answer) for answer in answers], return_inverse=True)[1]


def _alike(sitting: Sitting) -> list[bool]:
    """For each comparison that was asked twice whether the same method was chosen."""
    trials = sitting.page.trials
    first = {trials[number]: method for number, method in sitting.methods("comparison")}
    return [first[trials[number].swapped("comparison")] == method for number, method in sitting.methods("repeat")]


def _left(sittings: Sequence[Sitting]) -> float:
    chosen = [sitting.choices[number] for sitting in sittings for number, _ in sitting.methods("comparison")]
    return chosen.count("left") / len(chosen)

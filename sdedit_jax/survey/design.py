"""What is asked: which pictures meet on which page, on which side and in which order, and the catch trials among them.

A page asks each of its comparisons twice, first all of them for realism and then all for satisfaction, so that no guide
has been seen while realism is judged. To each part come catch trials: two in which one picture is broken, once left and
once right, so that nobody passes who always presses one key; and one comparison again with its sides swapped.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

QUESTIONS = ("realism", "satisfaction")
BROKEN = "broken"
"""In the place of a method: the picture of the other side, spoilt."""

Comparison = tuple[str, str]
"""The name of a guide, and the method that meets the one that the survey is about."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """Two pictures of one guide, of which a rater chooses one."""

    question: str
    kind: str
    """``comparison``, ``broken`` or ``repeat``: what counts, and what shows whether a rater looks."""
    name: str
    """Of the guide."""
    left: str
    right: str
    """The methods that made the two pictures, or `BROKEN`."""

    def method(self, choice: str) -> str:
        """The method behind a choice, ``left`` or ``right``."""
        return self.left if choice == "left" else self.right

    def swapped(self, kind: str) -> "Trial":
        """The same pictures with their sides swapped, as another kind of trial."""
        return dataclasses.replace(self, kind=kind, left=self.right, right=self.left)


def design(
    names: list[str], method: str, baselines: Sequence[str], comparisons_per_page: int, seed: int
) -> list[list[Trial]]:
    """The trials of every page: `method` against each of `baselines` for each guide of `names`, once in the survey.

    Pages are as equal as they can be. A guide comes back only after all others, and the baselines take turns, so few
    pages show a guide in two comparisons.
    """
    rng = np.random.default_rng(seed)
    shuffled = [names[index] for index in rng.permutation(len(names))]
    comparisons = [
        (name, baselines[(turn + place) % len(baselines)])
        for turn in range(len(baselines))
        for place, name in enumerate(shuffled)
    ]
    num_pages = -(-len(comparisons) // comparisons_per_page)
    bounds = [round(page * len(comparisons) / num_pages) for page in range(num_pages + 1)]
    pages = [comparisons[start:end] for start, end in zip(bounds[:-1], bounds[1:], strict=True)]
    return [[trial for question in QUESTIONS for trial in _part(question, method, page, rng)] for page in pages]


def _part(question: str, method: str, comparisons: list[Comparison], rng: np.random.Generator) -> list[Trial]:
    """The trials of one question: every comparison, the broken ones in between, and the repeated one at the end."""
    swaps = rng.permutation(np.arange(len(comparisons)) % 2 == rng.integers(2))  # each side as often, within one
    trials = [
        Trial(question, "comparison", name, *((other, method) if swap else (method, other)))
        for (name, other), swap in zip(comparisons, swaps, strict=True)
    ]
    trials = [trials[index] for index in rng.permutation(len(trials))]
    first = trials[rng.integers((len(trials) + 1) // 2)]  # of the first half, so that it lies some way back
    for sides in ((method, BROKEN), (BROKEN, method)):
        name, _ = comparisons[rng.integers(len(comparisons))]
        trials.insert(rng.integers(1, len(trials) + 1), Trial(question, "broken", name, *sides))
    return [*trials, first.swapped("repeat")]

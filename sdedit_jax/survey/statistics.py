"""How sure a percentage is, and how far raters agree.

**Interval.** The answers of one rater resemble each other, and so do all answers about one picture; an interval that
takes them for independent is too narrow, and a bootstrap over raters knows nothing of the pictures and has no width at
all where everybody agrees. So the variance of the proportion is estimated with both clusterings (Cameron, Gelbach and
Miller 2011, "Robust inference with multiway clustering": that of raters, plus that of pictures, minus that of
independent answers), turned into the number of independent answers that would have it, and that number goes into
Wilson's interval (1927).

**Agreement.** Krippendorff's alpha for two categories, which allows any number of raters and missing answers.
"""

import math

import numpy as np

CONFIDENCE = 0.95


def interval(chosen: np.ndarray, raters: np.ndarray, guides: np.ndarray) -> tuple[float, float, float]:
    """Lower and upper end of the 95 % interval of the mean of `chosen`, and the effective number of answers.

    `chosen` (N,) is 1 where an answer prefers the method, `raters` and `guides` (N,) say whose answer it is and about
    which guide. Student's t with one degree of freedom less than there are raters, or guides if they are fewer, takes
    the normal's place, as a variance estimated from few clusters is itself uncertain.
    """
    from scipy.stats import t as student  # most of a second, and only this needs it

    clusters = [cluster for cluster in (raters, guides) if len(np.unique(cluster)) > 1]
    fewest = min([len(np.unique(cluster)) for cluster in clusters], default=2)
    effective = effective_count(chosen, clusters)
    return *wilson(chosen.mean(), effective, float(student.ppf((1 + CONFIDENCE) / 2, fewest - 1))), effective


def effective_count(chosen: np.ndarray, clusters: list[np.ndarray]) -> float:
    """The number of independent answers whose mean varies as that of `chosen` (N,) does, at most N.

    `clusters` are one or two arrays (N,) of whom or what an answer belongs to. Where all answers are the same, nothing
    shows how they depend on each other: then it is the number of the fewest clusters.
    """
    count, mean = len(chosen), chosen.mean()
    independent = mean * (1 - mean) / count
    if not clusters:
        return count
    if independent == 0:
        return min(len(np.unique(cluster)) for cluster in clusters)
    variance = sum(_cluster_variance(chosen - mean, cluster) for cluster in clusters)
    return count * min(1.0, independent / max(variance - (len(clusters) - 1) * independent, independent))


def wilson(mean: float, count: float, z: float) -> tuple[float, float]:
    """Wilson's interval of a proportion `mean` of `count` independent answers, `z` standard errors wide each way."""
    shrink = 1 / (1 + z**2 / count)
    centre = (mean + z**2 / (2 * count)) * shrink
    half = z * math.sqrt(mean * (1 - mean) / count + z**2 / (4 * count**2)) * shrink
    return max(0.0, centre - half), min(1.0, centre + half)


def agreement(chosen: np.ndarray, units: np.ndarray) -> tuple[float | None, float | None]:
    """Krippendorff's alpha, and the share of pairs of answers to one unit that agree; None where they do not exist.

    `chosen` (N,) is 0 or 1, `units` (N,) numbers from 0 say what was asked; units with one answer do not count. Alpha
    is 1 for full agreement, 0 for that of chance, and does not exist where all answers are the same. Krippendorff
    2011, "Computing Krippendorff's alpha-reliability".
    """
    answers = np.bincount(units)
    ones = np.bincount(units, weights=chosen)
    answers, ones = answers[answers > 1], ones[answers > 1]
    total, all_ones = answers.sum(), ones.sum()
    if total == 0:
        return None, None
    differing = 2 * (ones * (answers - ones) / (answers - 1)).sum() / total
    agreeing_pairs = 1 - (ones * (answers - ones)).sum() / (answers * (answers - 1) / 2).sum()
    expected = 2 * all_ones * (total - all_ones) / (total * (total - 1))
    return (float(1 - differing / expected) if expected else None), float(agreeing_pairs)


def _cluster_variance(residuals: np.ndarray, cluster: np.ndarray) -> float:
    """Of the mean, from the sums of `residuals` (N,) over each cluster, which are independent of each other."""
    _, index = np.unique(cluster, return_inverse=True)
    sums = np.bincount(index, weights=residuals)
    return len(sums) / (len(sums) - 1) * (sums**2).sum() / len(residuals) ** 2

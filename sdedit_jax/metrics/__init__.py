"""How realistic and how faithful pictures are, in numbers that say what they were computed with.

The mathematics (`kid`, `fid`, `mmd`, `precision_recall`, `faithfulness`) takes arrays and knows no network. A
`FeatureNetwork` of `networks` turns pictures into `Features`, which know where they come from; `realism` compares two
sets of them and gives `Result`, whose name says all that the number depends on.
"""

from sdedit_jax.metrics.checks import MetricError
from sdedit_jax.metrics.faithfulness import l2, over_pictures
from sdedit_jax.metrics.features import FeatureNetwork, Features, cached_features, extract_features
from sdedit_jax.metrics.realism import cmmd, fid, kid, precision_and_recall
from sdedit_jax.metrics.results import Result

__all__ = [
    "FeatureNetwork",
    "Features",
    "MetricError",
    "Result",
    "cached_features",
    "cmmd",
    "extract_features",
    "fid",
    "kid",
    "l2",
    "over_pictures",
    "precision_and_recall",
]

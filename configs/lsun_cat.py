"""LSUN cats at 256 x 256: DDPM (VP).

python main.py --config configs/lsun_cat.py --mode edit    edits the example strokes

The first run fetches the weights, which are known as `lsun_cat` (google/ddpm-ema-cat-256, 455 MB); docs/weights.md
says how to fetch them by hand. The result in out/ is four cats for each guide, laid out and coloured as it is.

Everything is as for the bedrooms (configs/lsun_bedroom.py) but the step of the published weights.
"""

from ml_collections import ConfigDict

from configs import lsun_bedroom


def get_config() -> ConfigDict:
    """The LSUN cat configuration."""
    config = lsun_bedroom.get_config("ddpm")
    config.weights = "lsun_cat"
    config.data.source = "lsun_cat"
    config.editing.examples = "cat"
    config.training.num_steps = 1_761_000
    return config

"""FFHQ faces at 256 x 256: NCSN++ (VE), with which SDEdit composes faces.

python main.py --config configs/ffhq_256.py --mode edit    edits the example strokes

The first run fetches the weights, which are known as `ffhq_256` (google/ncsnpp-ffhq-256, 263 MB); docs/weights.md says
how to fetch them by hand. The result in out/ is four faces for each guide, laid out and coloured as it is.

Everything is as for CelebA-HQ (configs/celebahq_256.py:ncsnpp); t0 = 0.35 in 700 steps is what Meng et al. 2022
(arXiv:2108.01073) use with this model.
"""

from ml_collections import ConfigDict

from configs import celebahq_256


def get_config() -> ConfigDict:
    """The FFHQ configuration at 256 x 256."""
    config = celebahq_256.get_config("ncsnpp")
    config.weights = "ffhq_256"
    config.data.source = "ffhq_256"
    return config

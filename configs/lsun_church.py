"""LSUN churches at 256 x 256, in two forms: SDEdit's own DDPM (VP), and NCSN++ (VE).

python main.py --config configs/lsun_church.py --mode edit           edits the example strokes with DDPM
python main.py --config configs/lsun_church.py:ncsnpp --mode edit    edits them with NCSN++

The first run fetches the weights, which are known as `lsun_church` (google/ddpm-ema-church-256, 455 MB) and
`lsun_church:ncsnpp` (google/ncsnpp-church-256, 263 MB); docs/weights.md says how to fetch them by hand. The result
in out/ is four churches for each guide, laid out and coloured as it is.

Everything is as for the bedrooms (configs/lsun_bedroom.py) but the step of the published DDPM and NCSN++'s largest
sigma, 380 for pixels in [0, 1].
"""

from ml_collections import ConfigDict

from configs import lsun_bedroom


def get_config(form: str = "ddpm") -> ConfigDict:
    """The LSUN church configuration; ValueError for a `form` other than ddpm and ncsnpp."""
    config = lsun_bedroom.get_config(form)
    config.data.source = "lsun_church"
    config.editing.examples = "church"
    if form == "ddpm":
        config.weights = "lsun_church"
        config.training.num_steps = 4_432_000
    else:
        config.weights = "lsun_church:ncsnpp"
        config.sde.sigma_max = 760.0
    return config

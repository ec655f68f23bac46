"""CelebA-HQ faces at 256 x 256, in two forms: DDPM (VP), and NCSN++ (VE).

python main.py --config configs/celebahq_256.py --mode edit           edits the example strokes with DDPM
python main.py --config configs/celebahq_256.py:ncsnpp --mode edit    edits them with NCSN++

The first run fetches the weights, which are known as `celebahq_256` (google/ddpm-ema-celebahq-256, 455 MB) and
`celebahq_256:ncsnpp` (google/ncsnpp-celebahq-256, 263 MB); docs/weights.md says how to fetch them by hand. The result
in out/ is four faces for each guide, laid out and coloured as it is.

Everything is as for the bedrooms (configs/lsun_bedroom.py) but the step of the published DDPM, NCSN++'s largest sigma,
348 for pixels in [0, 1], and the VE edits, which start where Meng et al. 2022 (arXiv:2108.01073) start theirs of faces.
"""

from ml_collections import ConfigDict

from configs import lsun_bedroom


def get_config(form: str = "ddpm") -> ConfigDict:
    """The CelebA-HQ configuration; ValueError for a `form` other than ddpm and ncsnpp."""
    config = lsun_bedroom.get_config(form)
    config.data.source = "celebahq_256"
    config.editing.examples = "face"
    if form == "ddpm":
        config.weights = "celebahq_256"
        config.training.num_steps = 560_000
    else:
        config.weights = "celebahq_256:ncsnpp"
        config.sde.sigma_max = 696.0
        config.editing.t0 = 0.35
        config.editing.num_steps = 700
    return config

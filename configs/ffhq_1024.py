"""FFHQ faces at 1024 x 1024: NCSN++ (VE), a narrow and deep one.

python main.py --config configs/ffhq_1024.py --mode edit    edits the example strokes

The first run fetches the weights, which are known as `ffhq_1024` (google/ncsnpp-ffhq-1024, 423 MB); docs/weights.md
says how to fetch them by hand. The result in out/ is one face for each guide, laid out and coloured as it is; more of
them, one after the other or on more memory, with --num_samples.

Song et al. 2021 (arXiv:2011.13456) and the config released with it; the largest sigma is 1348 for pixels in [0, 1].
No paper edits with this model: t0 is that of the smaller FFHQ model.

Training takes one picture at a time on a device, so that it fits 16 GB. What the backward pass keeps of it is 10.8 GiB,
with remat 1.6 GiB and with bfloat16 as well 1.2 GiB (all residuals, by shape; what else a device takes is not known).
"""

from ml_collections import ConfigDict

from configs import ffhq_256


def get_config() -> ConfigDict:
    """The FFHQ configuration at 1024 x 1024."""
    config = ffhq_256.get_config()
    config.weights = "ffhq_1024"
    config.data.source = "ffhq_1024"
    config.data.image_size = 1024
    config.sde.sigma_max = 2696.0
    config.model.channels = 16
    config.model.channel_mults = (1, 2, 4, 8, 16, 32, 32, 32)
    config.model.num_res_blocks = 1
    config.model.attention_levels = (6,)  # of 16 x 16 positions
    config.training.batch_size = 8
    config.training.device_batch_size = 1
    config.training.remat = True
    config.training.dtype = "bfloat16"
    config.training.ema_decay = 0.9999
    config.training.reduction = "mean"
    config.solver.corrector.target_snr = 0.15
    config.editing.num_samples = 1
    config.sampling.num_samples = 1
    return config

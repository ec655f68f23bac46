"""Rendered landscapes at 64 x 64, VE: the bundled model.

python main.py --config configs/landscapes.py --mode edit      edits the shipped example strokes with it
python main.py --config configs/landscapes.py --mode prepare   renders its data set
python main.py --config configs/landscapes.py --mode train --workdir runs/landscapes   trains it from nothing

sigma from 0.02 to 100 is Song et al.'s range for small pictures (0.01 to 50 for pixels in [0, 1]). The network is
preconditioned and its noise levels are log-normal as by Karras et al. 2022, but broader; so it trains in hours where
the plain loss takes days.
"""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    """The landscapes configuration."""
    config = default.get_config()
    config.weights = "landscapes"
    config.sde = ConfigDict({"name": "ve", "sigma_min": 0.02, "sigma_max": 100.0})
    config.model.channels = 32
    config.model.channel_mults = (1, 2, 4)
    config.model.patch_size = 2
    config.model.embedding = "fourier"
    config.model.fourier_scale = 4.0
    config.preconditioning.name = "edm"
    config.training.learning_rate = 8e-4
    config.training.muon_learning_rate = 6e-3
    config.training.adam_b2 = 0.99
    config.training.warmup_steps = 100
    config.training.weighting = "edm"
    config.training.times = ConfigDict({"name": "log_normal", "mean": -1.2, "std": 1.6})
    config.training.checkpoint_every = 100
    config.training.sample_every = 400
    config.editing.t0 = 0.4  # noise of 0.6; small pictures lose their layout under less noise than large ones
    config.solver.name = "dpm_solver_sde"
    config.editing.num_steps = 25  # the KID and L2 of 500 ancestral steps: benchmarks/evaluation_settings.py
    config.sampling.num_steps = 50
    config.evaluation.baselines = ("guide", "blur", "laplacian", "poisson", "unconditional", "gan-1", "gan-2")
    config.evaluation.gan = "landscapes"
    config.evaluation.split = "test"
    return config

"""CIFAR-10 at 32 x 32, in five forms: DDPM (VP), DDPM++ (VP) and NCSN++ (VE), the last two also of twice the depth.

python main.py --config configs/cifar10.py --mode sample           draws pictures with DDPM
python main.py --config configs/cifar10.py:ncsnpp --mode sample    draws them with NCSN++; likewise ddpmpp,
                                                                   ddpmpp_deep and ncsnpp_deep

The first run fetches DDPM's weights, which are known as `cifar10` (143 MB). Those of the other forms, known as
`cifar10:ddpmpp` and so on, cannot be fetched by a program: the command names the file, where it is and where to put
it, as docs/weights.md does. The result in out/ is 16 small pictures of the ten classes.

DDPM: Ho et al. 2020, appendix B (arXiv:2006.11239), of which the published weights are step 790,000. The others: Song
et al. 2021 (arXiv:2011.13456) and the configs released with it, for continuous times; the sigmas are those of pixels
in [0, 1], doubled. No paper edits pictures as small as these: they lose their layout under less noise than large ones,
so t0 is smaller.
"""

from ml_collections import ConfigDict

from configs import default


def get_config(form: str = "ddpm") -> ConfigDict:
    """The CIFAR-10 configuration; ValueError for a `form` that is none of the five above."""
    config = default.get_config()
    config.data.source = "cifar10"
    config.data.image_size = 32
    config.model.channels = 128
    config.model.channel_mults = (1, 2, 2, 2)
    config.model.attention_levels = (1,)  # of 16 x 16 positions
    config.model.dropout = 0.1
    config.training.batch_size = 128
    config.training.warmup_steps = 5000
    config.training.checkpoint_every = 5000
    config.training.sample_every = 50_000
    config.editing.examples = "cifar10"
    match form:
        case "ddpm":
            return _ddpm(config)
        case "ddpmpp":
            return _ddpmpp(config)
        case "ddpmpp_deep":
            return _deep(_ddpmpp(config), "cifar10:ddpmpp_deep")
        case "ncsnpp":
            return _ncsnpp(config)
        case "ncsnpp_deep":
            return _deep(_ncsnpp(config), "cifar10:ncsnpp_deep")
    forms = "ddpm, ddpmpp, ddpmpp_deep, ncsnpp and ncsnpp_deep"
    raise ValueError(f"This config has no form {form!r}: its forms are {forms}.")


def _ddpm(config: ConfigDict) -> ConfigDict:
    config.weights = "cifar10"
    config.sde = ConfigDict({"name": "discrete_vp", "beta_start": 1e-4, "beta_end": 0.02, "num_levels": 1000})
    config.model.name = "ddpm"
    config.training.num_steps = 790_000
    config.training.ema_decay = 0.9999
    config.solver.variance = "large"
    config.editing.t0 = 0.3
    config.editing.num_steps = 300
    return config


def _ddpmpp(config: ConfigDict) -> ConfigDict:
    config.weights = "cifar10:ddpmpp"
    config.model.num_res_blocks = 4
    config.model.embedding = "positional"
    config.model.progressive = "none"
    config.model.progressive_input = "none"
    config.model.fir = False
    config.training.num_steps = 1_300_000
    config.training.ema_decay = 0.9999
    config.solver.name = "euler_maruyama"
    config.editing.t0 = 0.3
    config.editing.num_steps = 300
    return config


def _ncsnpp(config: ConfigDict) -> ConfigDict:
    config.weights = "cifar10:ncsnpp"
    config.sde = ConfigDict({"name": "ve", "sigma_min": 0.02, "sigma_max": 100.0})
    config.model.num_res_blocks = 4
    config.model.progressive = "none"
    config.model.progressive_input = "residual"
    config.model.output = "scaled_score"
    config.training.num_steps = 1_300_000
    config.training.reduction = "half_sum"
    config.solver = default.predictor_corrector(target_snr=0.16)
    config.editing.t0 = 0.4
    config.editing.num_steps = 400
    return config


def _deep(config: ConfigDict, weights: str) -> ConfigDict:
    config.weights = weights
    config.model.num_res_blocks = 8
    config.training.num_steps = 950_000
    return config

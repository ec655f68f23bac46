"""LSUN bedrooms at 256 x 256, in two forms: SDEdit's own DDPM (VP), and NCSN++ (VE).

python main.py --config configs/lsun_bedroom.py --mode edit           edits the example strokes with DDPM
python main.py --config configs/lsun_bedroom.py:ncsnpp --mode edit    edits them with NCSN++

The first run fetches the weights, which are known as `lsun_bedroom` (google/ddpm-ema-bedroom-256, 455 MB) and
`lsun_bedroom:ncsnpp` (google/ncsnpp-bedroom-256, 263 MB); docs/weights.md says how to fetch them by hand. The result
in out/ is four bedrooms for each guide, laid out and coloured as it is.

DDPM: Ho et al. 2020, appendix B (arXiv:2006.11239), of which the published weights are step 2,388,000. NCSN++: Song
et al. 2021 (arXiv:2011.13456) and the configs released with it; its sigmas are those of pixels in [0, 1], doubled.
Edits: Meng et al. 2022 (arXiv:2108.01073), who repeat them up to three times: --num_repeats 3. They edit VE without a
corrector, which is --config.solver.corrector.num_steps=0 and takes half the time.

Training takes 4 pictures at a time on a device, so that it fits 16 GB. What the backward pass keeps of them is 16.3 GiB
for DDPM and 19.3 GiB for NCSN++; 2.6 and 2.7 GiB with remat; 1.7 and 1.9 GiB with bfloat16 as well (all residuals, by
shape). For DDPM with remat in float32 XLA's memory analysis of a step of 4 pictures, state and all, says 13.5 GiB: on a
CPU, which is only a proxy for what an accelerator will take.
"""

from ml_collections import ConfigDict

from configs import default


def get_config(form: str = "ddpm") -> ConfigDict:
    """The LSUN bedroom configuration; ValueError for a `form` other than ddpm and ncsnpp."""
    config = default.get_config()
    config.data.source = "lsun_bedroom"
    config.data.image_size = 256
    config.model.channels = 128
    config.model.attention_levels = (4,)  # of 16 x 16 positions
    config.training.batch_size = 64
    config.training.device_batch_size = 4
    config.training.remat = True
    config.training.dtype = "bfloat16"
    config.training.warmup_steps = 5000
    config.training.checkpoint_every = 5000
    config.training.sample_every = 50_000
    config.editing.examples = "bedroom"
    match form:
        case "ddpm":
            return _ddpm(config)
        case "ncsnpp":
            return _ncsnpp(config)
    raise ValueError(f"This config has no form {form!r}: its forms are ddpm and ncsnpp.")


def _ddpm(config: ConfigDict) -> ConfigDict:
    config.weights = "lsun_bedroom"
    config.sde = ConfigDict({"name": "discrete_vp", "beta_start": 1e-4, "beta_end": 0.02, "num_levels": 1000})
    config.model.name = "ddpm"
    config.model.channel_mults = (1, 1, 2, 2, 4, 4)
    config.training.num_steps = 2_388_000
    config.training.learning_rate = 2e-5
    config.training.ema_decay = 0.9999
    return config


def _ncsnpp(config: ConfigDict) -> ConfigDict:
    config.weights = "lsun_bedroom:ncsnpp"
    config.sde = ConfigDict({"name": "ve", "sigma_min": 0.02, "sigma_max": 756.0})
    config.model.channel_mults = (1, 1, 2, 2, 2, 2, 2)
    config.model.output = "scaled_score"
    config.training.num_steps = 2_400_000
    config.training.reduction = "half_sum"
    config.solver = default.predictor_corrector(target_snr=0.075)
    config.editing.t0 = 0.45
    config.editing.num_steps = 1000
    config.sampling.num_steps = 2000
    return config

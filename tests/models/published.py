"""The published networks, their tensors and parameters counted, and what small ones answer to given weights and images.

The answers were computed with the published code of SDEdit and score_sde, for the weights of `networks.sine_params`.
"""

import dataclasses

import numpy as np

from sdedit_jax.models import DDPM, NCSNpp

CIFAR_VE = NCSNpp(num_res_blocks=4, progressive="none", progressive_input="residual", output="scaled_score")
DDPMPP = NCSNpp(num_res_blocks=4, progressive="none", progressive_input="none", fir=False, embedding="positional")
LSUN_VE = NCSNpp(channel_mults=(1, 1, 2, 2, 2, 2, 2), attention_levels=(4,), output="scaled_score")
FFHQ_1024 = NCSNpp(
    channels=16,
    channel_mults=(1, 2, 4, 8, 16, 32, 32, 32),
    num_res_blocks=1,
    attention_levels=(6,),
    output="scaled_score",
)
DDPM_256 = DDPM(channel_mults=(1, 1, 2, 2, 4, 4), attention_levels=(4,))

# (network, size of its pictures, parameters, tensors); Fourier frequencies are one tensor more, which is not trained.
CENSUS = {
    "ve 256": (LSUN_VE, 256, 65_574_549, 644 + 1),
    "ve 1024": (FFHQ_1024, 1024, 105_785_896, 552 + 1),
    "ve cifar10": (CIFAR_VE, 32, 62_758_915, 570 + 1),
    "ve cifar10 deep": (CIFAR_VE.clone(num_res_blocks=8), 32, 107_587_075, 962 + 1),
    "ve cifar10 discrete": (CIFAR_VE.clone(embedding="positional"), 32, 62_693_251, 570),
    "ddpmpp": (DDPMPP, 32, 61_804_419, 564),
    "ddpmpp deep": (DDPMPP.clone(num_res_blocks=8), 32, 106_632_579, 956),
    "ddpm cifar10": (DDPM(attention_up="once_per_level"), 32, 35_218_947, 308),
    "ddpm 256": (DDPM_256.clone(attention_up="once_per_level"), 256, 111_569_923, 430),
    "sdedit cifar10": (DDPM(), 32, 35_746_307, 328),
    "sdedit 256": (DDPM_256, 256, 113_673_219, 450),
}

SMALL = {"channels": 32, "channel_mults": (1, 2, 2), "num_res_blocks": 2, "attention_levels": (1,)}
VE_SIGMAS = np.exp(np.linspace(np.log(50.0), np.log(0.01), 1000))


@dataclasses.dataclass(frozen=True)
class Golden:
    """What a published network answers to `sine_images`, with the weights of `sine_params`."""

    net: DDPM | NCSNpp
    num_tensors: int
    noise_label: tuple[float, ...]
    mean_std_absmax: tuple[float, float, float]
    values: tuple[float, ...]
    sigma: tuple[float, ...] | None = None  # of a VE network: its input is on [0, 1], its output divided by sigma
    indices: tuple[int, ...] = (0, 1, 877, 2048, 3072, 6142, 6143)

    def images(self) -> np.ndarray:
        """Its input, in [-1, 1] units."""
        batch_size = len(self.noise_label)
        if self.sigma is None:
            return sine_images(batch_size, scale=0.9, offset=0.0)
        return 2.0 * sine_images(batch_size, scale=1.5, offset=0.5) - 1.0

    def check(self, eps: np.ndarray) -> None:
        """Assert that the noise prediction `eps` is the published answer."""
        published = np.asarray(eps)
        if self.sigma is not None:
            published = -published / np.reshape(self.sigma, (-1, 1, 1, 1))  # the score on [0, 1]
        published = published.transpose(0, 3, 1, 2).ravel()
        found = [published.mean(), published.std(), np.abs(published).max(), *published[list(self.indices)]]
        # Two float32 evaluations in another order; these weights amplify rounding.
        atol = 1e-4 * self.mean_std_absmax[2]
        np.testing.assert_allclose(found, [*self.mean_std_absmax, *self.values], rtol=0, atol=atol)


def sine_images(batch_size: int, scale: float, offset: float) -> np.ndarray:
    i = np.arange(batch_size * 3 * 32 * 32)
    images = offset + scale * np.sin(0.013 * i + 0.5 * np.sin(0.37 * i))
    return images.reshape(batch_size, 3, 32, 32).transpose(0, 2, 3, 1).astype(np.float32)


GOLDENS = {
    "sdedit_ddpm": Golden(
        DDPM(**SMALL),
        268,
        (7, 613),
        (0.0992733754, 0.921434029, 9.393345),
        (0.1182171, 0.1691129, 0.1520279, -0.0590906, 0.0875483, 5.9460998, 2.8425646),
    ),
    "ve_church": Golden(
        NCSNpp(**SMALL, output="scaled_score"),
        301,
        (0.35, 17),
        (0.317358709, 4.00474169, 34.911297),
        (2.5640790, 4.1959753, -13.6165762, 1.4329715, 0.0133001, -0.0179309, -0.0469159),
        sigma=(0.35, 17),
    ),
    "ve_cifar10_ncsnpp_continuous": Golden(
        CIFAR_VE.clone(**SMALL),
        293,
        (0.35, 17),
        (0.106560734, 2.02600875, 22.974236),
        (-2.3484263, -1.9791117, -0.0652019, -5.1710472, -0.0062394, 0.0018545, -0.0005114),
        sigma=(0.35, 17),
    ),
    "ve_cifar10_ncsnpp": Golden(
        CIFAR_VE.clone(**SMALL, embedding="positional"),
        292,
        (3, 800),
        (0.701492359, 11.0005429, 129.948849),
        (0.0134095, 0.0256178, 0.0020231, -0.0004038, 1.4222808, 42.1194176, 12.5648956),
        sigma=(VE_SIGMAS[3], VE_SIGMAS[800]),
    ),
    "vp_cifar10_ddpmpp_continuous": Golden(
        DDPMPP.clone(**SMALL),
        288,
        (7.25, 613.5),
        (-0.135599788, 1.06202354, 10.095027),
        (-0.1434796, -0.1561445, 1.1866047, 0.0177258, -0.5011113, -2.0475419, -0.9267190),
    ),
    "vp_cifar10_ncsnpp_continuous": Golden(
        CIFAR_VE.clone(**SMALL, embedding="positional", output="noise"),
        292,
        (7.25, 613.5),
        (0.0519183224, 0.944335643, 12.123951),
        (1.6127466, 3.6095448, 0.0496160, -0.0424890, 0.0714638, 4.7840476, 1.5162032),
    ),
    "vp_ddpm_cifar10": Golden(
        DDPM(**SMALL, attention_up="once_per_level"),
        248,
        (7, 613),
        (-0.0100804139, 1.21286238, 10.160851),
        (-0.6526855, -0.9015177, 0.7607732, -0.7445558, -0.9165543, 0.0285862, -0.0295657),
    ),
    "ve_cifar10_ddpm": Golden(
        DDPM(**SMALL, attention_up="once_per_level", output="scaled_score"),
        248,
        (3, 800),
        (0.608425565, 14.5319226, 218.611446),
        (-0.0116703, -0.0161433, -0.0534614, -0.0134044, -24.3362005, 1.0915404, -0.2394997),
        sigma=(VE_SIGMAS[3], VE_SIGMAS[800]),
    ),
    "ve_ffhq": Golden(
        NCSNpp(16, (1, 2, 4), num_res_blocks=1, attention_levels=(2,), output="scaled_score"),
        227,
        (2.0,),
        (-0.0217055747, 0.724986163, 4.5444),
        (-0.6979083, -1.3128101, -0.0744271, -0.4533687, -0.3281486, 0.2384450, 0.2443806),
        sigma=(2.0,),
        indices=(0, 1, 438, 1024, 1536, 3070, 3071),
    ),
}

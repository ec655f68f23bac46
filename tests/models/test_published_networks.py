"""The networks against the published ones: every parameter count, and forward passes with weights made of sines."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdedit_jax.models import DDPM, NCSNpp
from tests.models.networks import param_shapes, quick_jit, sine_params

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


@pytest.mark.parametrize(
    ("net", "image_size", "num_parameters", "num_tensors"),
    [
        (LSUN_VE, 256, 65_574_549, 644 + 1),  # and one that is not trained, the Fourier frequencies
        (FFHQ_1024, 1024, 105_785_896, 552 + 1),
        (CIFAR_VE, 32, 62_758_915, 570 + 1),
        (CIFAR_VE.clone(num_res_blocks=8), 32, 107_587_075, 962 + 1),
        (CIFAR_VE.clone(embedding="positional"), 32, 62_693_251, 570),
        (DDPMPP, 32, 61_804_419, 564),
        (DDPMPP.clone(num_res_blocks=8), 32, 106_632_579, 956),
        (DDPM(attention_up="once_per_level"), 32, 35_218_947, 308),
        (DDPM_256.clone(attention_up="once_per_level"), 256, 111_569_923, 430),
        (DDPM(), 32, 35_746_307, 328),
        (DDPM_256, 256, 113_673_219, 450),
    ],
    ids=lambda value: type(value).__name__,
)
def test_number_of_parameters(net, image_size, num_parameters, num_tensors):
    shapes = param_shapes(net, image_size).values()
    assert sum(int(np.prod(shape)) for shape in shapes) == num_parameters
    assert len(shapes) == num_tensors


SMALL = {"channels": 32, "channel_mults": (1, 2, 2), "num_res_blocks": 2, "attention_levels": (1,)}
FLAT_INDICES = (0, 1, 877, 2048, 3072, 6142, 6143)
VE_SIGMAS = np.exp(np.linspace(np.log(50.0), np.log(0.01), 1000))


@dataclasses.dataclass(frozen=True)
class Golden:
    """What a published network answers to `sine_images`, with the weights of `sine_params`."""

    net: DDPM | NCSNpp
    num_tensors: int
    noise_label: tuple[float, ...]
    mean: float
    std: float
    absmax: float
    values: tuple[float, ...]
    sigma: tuple[float, ...] | None = None  # of a VE network: its input is on [0, 1], its output divided by sigma
    indices: tuple[int, ...] = FLAT_INDICES


GOLDENS = {
    "sdedit_ddpm": Golden(
        DDPM(**SMALL),
        num_tensors=268,
        noise_label=(7, 613),
        mean=0.0992733754,
        std=0.921434029,
        absmax=9.393345,
        values=(0.1182171, 0.1691129, 0.1520279, -0.0590906, 0.0875483, 5.9460998, 2.8425646),
    ),
    "ve_church": Golden(
        NCSNpp(**SMALL, output="scaled_score"),
        num_tensors=301,
        noise_label=(0.35, 17),
        sigma=(0.35, 17),
        mean=0.317358709,
        std=4.00474169,
        absmax=34.911297,
        values=(2.5640790, 4.1959753, -13.6165762, 1.4329715, 0.0133001, -0.0179309, -0.0469159),
    ),
    "ve_cifar10_ncsnpp_continuous": Golden(
        CIFAR_VE.clone(**SMALL),
        num_tensors=293,
        noise_label=(0.35, 17),
        sigma=(0.35, 17),
        mean=0.106560734,
        std=2.02600875,
        absmax=22.974236,
        values=(-2.3484263, -1.9791117, -0.0652019, -5.1710472, -0.0062394, 0.0018545, -0.0005114),
    ),
    "ve_cifar10_ncsnpp": Golden(
        CIFAR_VE.clone(**SMALL, embedding="positional"),
        num_tensors=292,
        noise_label=(3, 800),
        sigma=(VE_SIGMAS[3], VE_SIGMAS[800]),
        mean=0.701492359,
        std=11.0005429,
        absmax=129.948849,
        values=(0.0134095, 0.0256178, 0.0020231, -0.0004038, 1.4222808, 42.1194176, 12.5648956),
    ),
    "vp_cifar10_ddpmpp_continuous": Golden(
        DDPMPP.clone(**SMALL),
        num_tensors=288,
        noise_label=(7.25, 613.5),
        mean=-0.135599788,
        std=1.06202354,
        absmax=10.095027,
        values=(-0.1434796, -0.1561445, 1.1866047, 0.0177258, -0.5011113, -2.0475419, -0.9267190),
    ),
    "vp_cifar10_ncsnpp_continuous": Golden(
        CIFAR_VE.clone(**SMALL, embedding="positional", output="noise"),
        num_tensors=292,
        noise_label=(7.25, 613.5),
        mean=0.0519183224,
        std=0.944335643,
        absmax=12.123951,
        values=(1.6127466, 3.6095448, 0.0496160, -0.0424890, 0.0714638, 4.7840476, 1.5162032),
    ),
    "vp_ddpm_cifar10": Golden(
        DDPM(**SMALL, attention_up="once_per_level"),
        num_tensors=248,
        noise_label=(7, 613),
        mean=-0.0100804139,
        std=1.21286238,
        absmax=10.160851,
        values=(-0.6526855, -0.9015177, 0.7607732, -0.7445558, -0.9165543, 0.0285862, -0.0295657),
    ),
    "ve_cifar10_ddpm": Golden(
        DDPM(**SMALL, attention_up="once_per_level", output="scaled_score"),
        num_tensors=248,
        noise_label=(3, 800),
        sigma=(VE_SIGMAS[3], VE_SIGMAS[800]),
        mean=0.608425565,
        std=14.5319226,
        absmax=218.611446,
        values=(-0.0116703, -0.0161433, -0.0534614, -0.0134044, -24.3362005, 1.0915404, -0.2394997),
    ),
    "ve_ffhq": Golden(
        NCSNpp(16, (1, 2, 4), num_res_blocks=1, attention_levels=(2,), output="scaled_score"),
        num_tensors=227,
        noise_label=(2.0,),
        sigma=(2.0,),
        mean=-0.0217055747,
        std=0.724986163,
        absmax=4.5444,
        values=(-0.6979083, -1.3128101, -0.0744271, -0.4533687, -0.3281486, 0.2384450, 0.2443806),
        indices=(0, 1, 438, 1024, 1536, 3070, 3071),
    ),
}


def sine_images(batch_size: int, scale: float, offset: float) -> np.ndarray:
    i = np.arange(batch_size * 3 * 32 * 32)
    images = offset + scale * np.sin(0.013 * i + 0.5 * np.sin(0.37 * i))
    return images.reshape(batch_size, 3, 32, 32).transpose(0, 2, 3, 1).astype(np.float32)


@pytest.mark.parametrize("golden", GOLDENS.values(), ids=GOLDENS.keys())
def test_forward_pass(golden):
    batch_size = len(golden.noise_label)
    if golden.sigma is None:
        x = sine_images(batch_size, scale=0.9, offset=0.0)
    else:
        x = 2.0 * sine_images(batch_size, scale=1.5, offset=0.5) - 1.0
    params = sine_params(golden.net)
    assert len(jax.tree.leaves(params)) == golden.num_tensors
    eps = quick_jit(golden.net.apply)(params, x, jnp.asarray(golden.noise_label, jnp.float32))
    published = np.asarray(eps)
    if golden.sigma is not None:
        published = -published / np.reshape(golden.sigma, (-1, 1, 1, 1))  # the score on [0, 1]
    published = published.transpose(0, 3, 1, 2).ravel()
    atol = 1e-4 * golden.absmax  # two float32 evaluations in another order; these weights amplify rounding
    np.testing.assert_allclose(published[list(golden.indices)], golden.values, rtol=0, atol=atol)
    np.testing.assert_allclose(np.abs(published).max(), golden.absmax, rtol=0, atol=atol)
    np.testing.assert_allclose([published.mean(), published.std()], [golden.mean, golden.std], rtol=0, atol=atol)

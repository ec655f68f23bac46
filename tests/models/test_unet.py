"""Laws that every U-Net obeys, on a small `DDPM` and a small `NCSNpp`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from sdedit_jax.models import DDPM, NCSNpp
from tests.models.networks import param_shapes, quick_jit, random_params

# Widths at which a group of any `GroupNorm` has several channels, as in a full-size net.
SMALL = {"channels": 40, "channel_mults": (1, 2), "num_res_blocks": 1, "attention_levels": (1,)}
NETS = {"ddpm": DDPM(**SMALL), "ncsnpp": NCSNpp(**SMALL, fourier_scale=1.0)}
NOISE_LABEL = jnp.array([0.5, 3.0])

quick_forward = functools.cache(lambda net: quick_jit(net.apply))


@pytest.fixture(params=NETS.values(), ids=NETS.keys(), scope="module")
def net(request):
    return request.param


@pytest.fixture(scope="module")
def params(net):
    return random_params(net)


@pytest.fixture(scope="module")
def one_level(net):
    """The smallest net, for laws that need a compilation of their own: the middle and one block on the way up."""
    return net.clone(channels=16, channel_mults=(1,), num_res_blocks=0, attention_levels=())


@pytest.fixture
def x(new_key):
    return jax.random.normal(new_key(), (2, 8, 8, 3))


def test_jit_changes_nothing(one_level, x):
    params = random_params(one_level)
    eps = quick_forward(one_level)(params, x, NOISE_LABEL)
    assert eps.shape == x.shape
    assert eps.dtype == jnp.float32
    # Another order of float32 sums, through some ten layers.
    np.testing.assert_allclose(one_level.apply(params, x, NOISE_LABEL), eps, atol=1e-4 * np.abs(eps).max())


def test_image_does_not_depend_on_its_batch_mates(net, params, x):
    eps = quick_forward(net)(params, x, NOISE_LABEL)
    other = x.at[1].set(0.0)
    np.testing.assert_array_equal(quick_forward(net)(params, other, NOISE_LABEL)[0], eps[0])
    assert not np.allclose(quick_forward(net)(params, x, NOISE_LABEL.at[0].set(1.0))[0], eps[0])


def test_any_size_that_is_a_multiple_of_the_factor(net, params):
    x = jnp.zeros((2, 6, 10, 3))
    assert net.downsampling_factor == 2
    assert jax.eval_shape(net.apply, params, x, NOISE_LABEL).shape == x.shape


@pytest.mark.parametrize("shape", [(2, 8, 9, 3), (2, 7, 8, 3), (8, 8, 3)])
def test_other_sizes_are_refused(net, params, shape):
    with pytest.raises(ValueError, match="multiples of 2"):
        jax.eval_shape(net.apply, params, jnp.zeros(shape), NOISE_LABEL)


def test_patches_are_pixels_of_a_smaller_network(net):
    patched = net.clone(patch_size=2)
    assert patched.downsampling_factor == 4
    assert param_shapes(patched)["conv_in/kernel"] == (3, 3, 4 * 3, 40)
    x = jnp.zeros((2, 8, 12, 3))
    assert jax.eval_shape(patched.apply, random_params(patched), x, NOISE_LABEL).shape == x.shape


def test_bfloat16_is_close_to_float32(one_level, x):
    half, params = one_level.clone(dtype=jnp.bfloat16), random_params(one_level)
    eps, eps_half = quick_forward(one_level)(params, x, NOISE_LABEL), quick_forward(half)(params, x, NOISE_LABEL)
    assert eps_half.dtype == jnp.float32
    assert not np.array_equal(eps_half, eps)
    assert np.std(eps_half - eps) < np.sqrt(20) * 2**-8 * np.std(eps)  # some twenty roundings of up to 2^-9 in a row
    assert param_shapes(half) == param_shapes(one_level)


def loss_gradient(net, params, x):
    def loss(params):
        return jnp.square(net.apply(params, x, NOISE_LABEL) - 1.0).mean()

    return quick_jit(jax.grad(loss))(params)["params"]


def test_every_parameter_is_trained_except_fourier_frequencies(net, params, x):
    for path, gradient in traverse_util.flatten_dict(loss_gradient(net, params, x), sep="/").items():
        if path.endswith("frequencies"):
            np.testing.assert_array_equal(gradient, 0.0)
        # A bias of the keys shifts all logits of a row alike, which the softmax does not see: rounding is left.
        elif not path.endswith("/k/bias"):
            assert np.abs(gradient).max() > 1e-6, path


def test_remat_changes_nothing(x):
    net = DDPM(16, (1,), num_res_blocks=0, attention_levels=())
    params = random_params(net)
    gradient, same = loss_gradient(net, params, x), loss_gradient(net.clone(remat=True), params, x)
    for path, leaf in traverse_util.flatten_dict(gradient).items():
        atol = 1e-5 * max(1.0, np.abs(leaf).max())  # float32 sums in another order
        np.testing.assert_allclose(traverse_util.flatten_dict(same)[path], leaf, rtol=1e-3, atol=atol)


def test_remat_wraps_every_block_and_keeps_the_names(one_level):
    remat = one_level.clone(remat=True)
    assert param_shapes(remat) == param_shapes(one_level)
    jaxpr = jax.make_jaxpr(remat.apply)(random_params(remat), jnp.zeros((2, 8, 8, 3)), NOISE_LABEL)
    # Two blocks and an attention in the middle, and a block on the way up.
    assert sum("remat" in equation.primitive.name for equation in jaxpr.eqns) == 4


def test_initial_output_is_almost_nothing(one_level, new_key, x):
    params = quick_jit(one_level.init)(new_key(), x, NOISE_LABEL)
    eps = quick_forward(one_level)(params, x, NOISE_LABEL)
    assert 0 < np.abs(eps).max() < 1e-3  # the last weights are of order sqrt(1e-10)


def test_dropout_acts_in_training_only(one_level, x, new_key):
    params = random_params(one_level)
    dropping = one_level.clone(dropout=0.5)
    train = quick_jit(functools.partial(dropping.apply, train=True))
    first, second = (train(params, x, NOISE_LABEL, rngs={"dropout": new_key()}) for _ in range(2))
    assert not np.allclose(first, second)
    jax.eval_shape(dropping.apply, params, x, NOISE_LABEL)  # asks for no key


def test_unconditional_network_does_not_see_the_label(one_level, x):
    blind = one_level.clone(conditional=False)
    shapes = param_shapes(blind)
    assert not [path for path in shapes if "temb" in path or "time_embed" in path]
    params = random_params(blind)
    eps = quick_forward(blind)(params, x, NOISE_LABEL)
    np.testing.assert_array_equal(quick_forward(blind)(params, x, 2.0 * NOISE_LABEL), eps)


def test_networks_are_static_arguments(net):
    assert net == net.clone()
    assert hash(net) == hash(net.clone())
    assert net != net.clone(channels=32)


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (functools.partial(DDPM, attention_levels=(4,)), "attention_levels"),
        (functools.partial(DDPM, output="score"), "output"),
        (functools.partial(DDPM, attention_up="never"), "attention_up"),
        (functools.partial(NCSNpp, progressive="input_skip"), "progressive"),
        (functools.partial(NCSNpp, progressive_input="output_skip"), "progressive_input"),
        (functools.partial(NCSNpp, embedding="sine"), "embedding"),
        (functools.partial(NCSNpp, resblock="resnet"), "resblock"),
    ],
)
def test_fields_without_meaning_are_refused(build, field):
    with pytest.raises(ValueError, match=f"^{field} must be"):
        build()


@pytest.mark.parametrize(
    "options",
    [
        {"progressive": "residual", "progressive_input": "residual"},
        {"resblock": "ddpm"},
        {"resblock": "ddpm", "fir": False, "progressive": "residual"},
    ],
    ids=str,
)
def test_unpublished_options_run(options):
    """No weights were published for these, so only the shapes are known."""
    net = NCSNpp(**SMALL, **options)
    x = jnp.zeros((2, 8, 8, 3))
    eps, _ = jax.eval_shape(net.init_with_output, jax.random.key(0), x, NOISE_LABEL)
    assert eps.shape == x.shape

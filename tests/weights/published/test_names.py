"""The names against those that the published networks were seen to have, and the layouts against each other."""

import functools

import numpy as np
import pytest

from sdedit_jax.models import DDPM, NCSNpp
from sdedit_jax.weights.published import names
from sdedit_jax.weights.stored import StoredTensor, WeightsError
from tests.models.networks import param_shapes, torch_layout
from tests.models.published import CENSUS, DDPM_256

PYTORCH_DIFFUSION = {
    "time_embed/dense_0/kernel": "temb.dense.0.weight",
    "conv_in/bias": "conv_in.bias",
    "down_0_block_1/norm2/scale": "down.0.block.1.norm2.weight",
    "down_2_block_0/shortcut/kernel": "down.2.block.0.nin_shortcut.weight",
    "down_4_attn_1/proj_out/kernel": "down.4.attn.1.proj_out.weight",
    "down_4_downsample/conv/bias": "down.4.downsample.conv.bias",
    "mid_block_2/temb_proj/bias": "mid.block_2.temb_proj.bias",
    "mid_attn_1/q/kernel": "mid.attn_1.q.weight",
    "up_4_attn_2/norm/bias": "up.4.attn.2.norm.bias",
    "up_5_upsample/conv/kernel": "up.5.upsample.conv.weight",
    "head/norm/scale": "norm_out.weight",
    "head/conv/kernel": "conv_out.weight",
}
# Network, our path, module in PyTorch's all_modules, module in Flax, and the layer and leaf in either.
SCORE_SDE = [
    ("ve 256", "time_embed/frequencies", 0, "GaussianFourierProjection_0", "W", "W"),
    ("ve 256", "time_embed/dense_0/kernel", 1, "Dense_0", "weight", "kernel"),
    ("ve 256", "time_embed/dense_1/bias", 2, "Dense_1", "bias", "bias"),
    ("ve 256", "conv_in/kernel", 3, "Conv_0", "weight", "kernel"),
    ("ve 256", "down_0_downsample/shortcut/kernel", 6, "ResnetBlockBigGANpp_2", "Conv_2.weight", "Conv_2/kernel"),
    ("ve 256", "down_0_pyramid/kernel", 7, "Combine_0", "Conv_0.weight", "Conv_0/kernel"),
    ("ve 256", "down_4_attn_1/k/kernel", 23, "AttnBlockpp_1", "NIN_1.W", "NIN_1/W"),
    ("ve 256", "down_5_pyramid/bias", 29, "Combine_5", "Conv_0.bias", "Conv_0/bias"),
    ("ve 256", "mid_attn_1/proj_out/bias", 33, "AttnBlockpp_2", "NIN_3.b", "NIN_3/b"),
    ("ve 256", "up_6_pyramid/norm/scale", 38, "GroupNorm_0", "weight", "scale"),
    ("ve 256", "up_6_pyramid/conv/kernel", 39, "Conv_1", "weight", "kernel"),
    ("ve 256", "up_6_upsample/norm1/bias", 40, "ResnetBlockBigGANpp_25", "GroupNorm_0.bias", "GroupNorm_0/bias"),
    ("ve 256", "up_4_attn_0/norm/scale", 50, "AttnBlockpp_3", "GroupNorm_0.weight", "GroupNorm_0/scale"),
    ("ve 256", "up_0_block_2/conv2/kernel", 74, "ResnetBlockBigGANpp_48", "Conv_1.weight", "Conv_1/kernel"),
    ("ve 256", "up_0_pyramid/norm/bias", 75, "GroupNorm_6", "bias", "bias"),
    ("ve 256", "up_0_pyramid/conv/bias", 76, "Conv_7", "bias", "bias"),
    ("ve 1024", "down_6_attn_0/v/kernel", 23, "AttnBlockpp_0", "NIN_2.W", "NIN_2/W"),
    ("ve 1024", "up_6_attn_0/q/bias", 37, "AttnBlockpp_2", "NIN_0.b", "NIN_0/b"),
    ("ve 1024", "up_0_pyramid/conv/kernel", 69, "Conv_8", "weight", "kernel"),
    ("ve cifar10", "down_0_pyramid/conv/bias", 9, "Downsample_0", "Conv2d_0.bias", "Conv2d_0/bias"),
    ("ve cifar10", "down_2_pyramid/conv/kernel", 25, "Downsample_2", "Conv2d_0.weight", "Conv2d_0/weight"),
    ("ve cifar10", "head/norm/scale", 57, "GroupNorm_0", "weight", "scale"),
    ("ve cifar10", "head/conv/kernel", 58, "Conv_1", "weight", "kernel"),
    ("ve cifar10 discrete", "time_embed/dense_0/bias", 0, "Dense_0", "bias", "bias"),
    ("ve cifar10 discrete", "down_2_pyramid/conv/bias", 24, "Downsample_2", "Conv2d_0.bias", "Conv2d_0/bias"),
    ("ve cifar10 discrete", "head/conv/bias", 57, "Conv_1", "bias", "bias"),
    ("ve cifar10 deep", "head/conv/bias", 94, "Conv_1", "bias", "bias"),
    ("ddpmpp", "down_1_attn_0/q/kernel", 9, "AttnBlockpp_0", "NIN_0.W", "NIN_0/W"),
    ("ddpmpp", "up_1_upsample/conv1/bias", 47, "ResnetBlockBigGANpp_38", "Conv_0.bias", "Conv_0/bias"),
    ("ddpmpp", "head/conv/bias", 54, "Conv_1", "bias", "bias"),
    ("ddpmpp deep", "head/conv/bias", 90, "Conv_1", "bias", "bias"),
    ("ddpm 256", "down_0_downsample/conv/kernel", 5, "Downsample_0", "Conv_0.weight", "Conv_0/kernel"),
    ("ddpm 256", "down_4_attn_0/norm/bias", 16, "AttnBlock_0", "GroupNorm_0.bias", "GroupNorm_0/bias"),
    ("ddpm 256", "up_5_block_0/shortcut/kernel", 25, "ResnetBlockDDPM_14", "NIN_0.W", "NIN_0/W"),
    ("ddpm 256", "up_5_upsample/conv/bias", 28, "Upsample_0", "Conv_0.bias", "Conv_0/bias"),
    ("ddpm 256", "up_0_block_2/temb_proj/kernel", 48, "ResnetBlockDDPM_31", "Dense_0.weight", "Dense_0/kernel"),
    ("ddpm 256", "head/conv/bias", 50, "Conv_1", "bias", "bias"),
    ("ddpm cifar10", "up_1_attn_0/norm/scale", 30, "AttnBlock_3", "GroupNorm_0.weight", "GroupNorm_0/scale"),
    ("ddpm cifar10", "head/conv/bias", 36, "Conv_1", "bias", "bias"),
]
TINY = {"channels": 8, "channel_mults": (1, 2), "num_res_blocks": 1, "attention_levels": (1,)}


@pytest.mark.parametrize(("key", "path", "index", "module", "torch", "flax"), SCORE_SDE)
def test_names_of_score_sde(key, path, index, module, torch, flax):
    net = CENSUS[key][0]
    assert names.published_names(net, [path], "score_sde") == {path: f"all_modules.{index}.{torch}"}
    assert names.published_names(net, [path], "score_sde_flax") == {path: f"{module}/{flax}"}


def test_names_of_pytorch_diffusion():
    assert names.published_names(DDPM_256, PYTORCH_DIFFUSION, "pytorch_diffusion") == PYTORCH_DIFFUSION


@pytest.mark.parametrize("embedding", ["fourier", "positional"])
def test_order_of_the_averaged_weights(embedding):
    net = NCSNpp(**TINY, embedding=embedding)
    torch = names.published_names(net, param_shapes(net), "score_sde")
    order = [torch[path] for path in names.trainable_order(net, torch)]
    assert order[0] == ("all_modules.1.weight" if embedding == "fourier" else "all_modules.0.weight")
    assert set(torch.values()) - set(order) == ({"all_modules.0.W"} if embedding == "fourier" else set())
    assert (
        sorted(order, key=lambda name: int(name.split(".")[1])) == order
    )  # Python's sort keeps what is equal in place


@pytest.mark.parametrize(
    ("net", "module", "layers"),
    [
        (DDPM(**TINY, attention_up="once_per_level"), "down_1_block_0", "{}.weight {}.bias NIN_0.W NIN_0.b"),
        (NCSNpp(**TINY), "down_1_block_0", "{}.weight {}.bias Conv_2.weight Conv_2.bias"),
    ],
    ids=["ddpm", "ncsnpp"],
)
def test_order_within_modules(net, module, layers):
    torch = names.published_names(net, param_shapes(net), "score_sde")
    order = names.trainable_order(net, torch)
    block = [torch[path].split(".", 2)[2] for path in order if path.startswith(f"{module}/")]
    both, *shortcut = layers.rsplit(" ", 2)
    common = ["GroupNorm_0", "Conv_0", "Dense_0", "GroupNorm_1", "Conv_1"]
    assert block == [leaf.format(layer) for layer in common for leaf in both.split()] + shortcut
    attention = [torch[path].split(".", 2)[2] for path in order if path.startswith("mid_attn_1/")]
    assert attention == [
        "GroupNorm_0.weight",
        "GroupNorm_0.bias",
        *(f"NIN_{i}.{leaf}" for i in range(4) for leaf in "Wb"),
    ]


@pytest.mark.parametrize(
    "net",
    [
        NCSNpp(**TINY),
        NCSNpp(**TINY, progressive="residual", progressive_input="residual", resblock="ddpm"),
        NCSNpp(**TINY, conditional=False, embedding="positional", fir=False, progressive_input="residual"),
        DDPM(**TINY, conditional=False, attention_up="once_per_level"),
        DDPM(**TINY),
    ],
    ids=lambda net: type(net).__name__,
)
def test_every_parameter_has_one_name(net):
    shapes = param_shapes(net)
    layouts = ["pytorch_diffusion"] if torch_layout(net) == "pytorch_diffusion" else ["score_sde", "score_sde_flax"]
    for layout in layouts:
        found = names.published_names(net, shapes, layout)
        assert found.keys() == shapes.keys() and len(set(found.values())) == len(shapes)


@pytest.mark.parametrize(
    ("net", "layout"),
    [(DDPM_256, "score_sde"), (DDPM_256, "score_sde_flax"), (NCSNpp(), "pytorch_diffusion")],
    ids=lambda value: str(value)[:20],
)
def test_a_layout_of_another_network_is_refused(net, layout):
    with pytest.raises(WeightsError, match=f"{layout} has no names for this {type(net).__name__}"):
        names.published_names(net, [], layout)


@pytest.mark.parametrize(
    ("name", "shape", "ours", "index"),
    [
        ("conv_in.weight", (5, 4, 3, 2), (3, 2, 4, 5), lambda o, i, y, x: (y, x, i, o)),
        ("down.1.block.0.nin_shortcut.weight", (5, 4, 1, 1), (4, 5), lambda o, i, y, x: (i, o)),
        ("all_modules.1.weight", (5, 4), (4, 5), lambda o, i: (i, o)),
        ("all_modules.9.NIN_0.W", (4, 5), (4, 5), lambda i, o: (i, o)),
        ("norm_out.weight", (4,), (4,), lambda c: (c,)),
    ],
)
def test_layouts_of_torch(name, shape, ours, index):
    array = np.random.default_rng(0).normal(size=shape)
    found = names.from_torch(name, array)
    assert found.shape == ours
    for at in np.ndindex(*shape):
        assert found[index(*at)] == array[at]
    np.testing.assert_array_equal(names.to_torch(name, found).ravel(), array.ravel())


@pytest.mark.parametrize(
    ("stored", "ours"),
    [
        ((1, 1, 1, 6), (6,)),
        ((6,), (6,)),
        ((1, 1, 2, 3), (2, 3)),
        ((3, 3, 2, 6), (3, 3, 2, 6)),
        ((1, 1, 1, 6), (1, 6)),
    ],
)
def test_layouts_of_flax(stored, ours):
    array = np.arange(float(np.prod(stored))).reshape(stored)
    np.testing.assert_array_equal(names.from_flax("a", ours, array), array.reshape(ours))
    copies = np.repeat(array[None], 4, axis=0)
    np.testing.assert_array_equal(names.from_flax("a", ours, copies), array.reshape(ours))


def test_copies_that_differ_are_refused():
    with pytest.raises(WeightsError, match=r"Conv_0/bias has 2 copies .* not the same"):
        names.from_flax("Conv_0/bias", (3,), np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 4.0]]))


def test_another_shape_is_left_to_be_found():
    assert names.from_flax("a", (3, 2), np.zeros((2, 3))).shape == (2, 3)
    assert names.from_flax("a", (3,), np.zeros(())).shape == ()


def test_lazily_reads_only_when_asked():
    reads = []

    def read():
        reads.append(True)
        return np.arange(6, dtype=np.float16).reshape(2, 3)

    tensor = StoredTensor((2, 3), np.dtype(np.float16), read)
    ours = names.lazily(tensor, functools.partial(names.from_torch, "temb.dense.0.weight"))
    assert ours.shape == (3, 2) and ours.dtype == np.float16 and not reads
    np.testing.assert_array_equal(ours.read(), [[0, 3], [1, 4], [2, 5]])


def test_lazily_allocates_nothing():
    tensor = StoredTensor((2**20, 2**20, 1, 1), np.dtype(np.float32), lambda: np.empty(0))
    assert names.lazily(tensor, functools.partial(names.from_torch, "conv.weight")).shape == (2**20, 2**20)

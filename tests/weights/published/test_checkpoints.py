"""Checkpoints of every published kind come back bit by bit, and what does not fit is named as the file names it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import serialization

from sdedit_jax import build, trees
from sdedit_jax.models import DDPM, NCSNpp
from sdedit_jax.sdes import VESDE, VPSDE, DiscreteVPSDE
from sdedit_jax.weights.published import checkpoints
from sdedit_jax.weights.stored import WeightsError
from tests.models.networks import quick_jit, random_params, sine_params, torch_layout
from tests.models.published import GOLDENS, VE_SIGMAS
from tests.weights.files import torch_writer
from tests.weights.published import checkpoint_files

SCORE_SDE = {key: golden for key, golden in GOLDENS.items() if torch_layout(golden.net) == "score_sde"}
DDPM_TINY = DDPM(8, (1, 2), 1, (1,))
VE_TINY = NCSNpp(8, (1, 2), 1, (1,), output="scaled_score")
FLAX = {
    "ve 256": VE_TINY,
    "ve 32": VE_TINY.clone(progressive="none", progressive_input="residual"),
    "ve discrete": VE_TINY.clone(progressive="none", progressive_input="residual", embedding="positional"),
    "ddpmpp": NCSNpp(
        8, (1, 2), 1, (1,), progressive="none", progressive_input="none", fir=False, embedding="positional"
    ),
    "ddpm": DDPM(8, (1, 2), 1, (1,), attention_up="once_per_level"),
    "unconditional ddpm": DDPM(8, (1, 2), 1, (1,), attention_up="once_per_level", conditional=False),
}


def write_flax(path, tree):
    path.write_bytes(serialization.msgpack_serialize(tree))


def params_of(source):
    return trees.unflatten({name: tensor.read() for name, tensor in source.tensors.items()})


def assert_holds(source, net, params):
    """The file is `net` with `params`, in our layout."""
    assert build.build_model(source.config) == net
    jax.tree.map(
        lambda found, wanted: np.testing.assert_array_equal(found, wanted, strict=True), params_of(source), params
    )
    for tensor in source.tensors.values():
        values = tensor.read()
        assert tensor.shape == values.shape and tensor.dtype == values.dtype


def sde_of(golden):
    return {"name": "vp"} if golden.sigma is None else {"name": "ve"}


@pytest.mark.parametrize("write", [torch_writer.write_zip, torch_writer.write_legacy])
def test_sdedit(tmp_path, write):
    golden = GOLDENS["sdedit_ddpm"]
    params = sine_params(golden.net)["params"]
    path = tmp_path / "bedroom.ckpt"
    write(path, checkpoint_files.tensors(golden.net, params, "pytorch_diffusion"))
    source = checkpoints.read(path, {})
    assert_holds(source, golden.net, params)
    assert build.build_sde(source.config) == DiscreteVPSDE()
    assert source.config["data"] == {"image_size": 32}
    assert set(source.assumed) == {"model.dropout", "sde.name", "data.image_size"}


@pytest.mark.parametrize("write", [torch_writer.write_zip, torch_writer.write_legacy])
@pytest.mark.parametrize("key", SCORE_SDE)
def test_score_sde(tmp_path, key, write):
    golden = GOLDENS[key]
    params = sine_params(golden.net)["params"]
    raw = jax.tree.map(lambda leaf: leaf + 1, params)
    if "time_embed" in params and "frequencies" in params["time_embed"]:
        raw["time_embed"]["frequencies"] = params["time_embed"]["frequencies"]
    write(tmp_path / "a.pth", checkpoint_files.score_sde(golden.net, raw, params, VE_SIGMAS))
    source = checkpoints.read(tmp_path / "a.pth", {"sde": sde_of(golden)})
    assert_holds(source, golden.net, params)
    assert source.notes == (checkpoints.AVERAGED,)


@pytest.mark.parametrize("net", FLAX.values(), ids=FLAX.keys())
def test_score_sde_in_flax(tmp_path, net):
    params, raw = (random_params(net, seed)["params"] for seed in (0, 1))
    write_flax(tmp_path / "checkpoint_9", checkpoint_files.score_sde_flax(net, raw, params))
    sde = {"name": "vp" if net.output == "noise" else "ve"}
    source = checkpoints.read(tmp_path / "checkpoint_9", {"sde": sde, "model": {"attention_levels": (1,)}})
    assert_holds(source, net, params)
    assert build.build_sde(source.config) in (VPSDE(), VESDE(0.02, 100.0), VESDE(0.02, 100.0, 1000))


@pytest.mark.parametrize("key", SCORE_SDE)
def test_the_weights_behind_published_answers_in_flax(tmp_path, key):
    """What the published networks answer to these weights is in tests/models; here they come back bit by bit."""
    golden = GOLDENS[key]
    params = sine_params(golden.net)["params"]
    raw = jax.tree.map(lambda leaf: leaf + 1, params)
    write_flax(tmp_path / "checkpoint_9", checkpoint_files.score_sde_flax(golden.net, raw, params))
    model = {"attention_levels": golden.net.attention_levels}
    assert_holds(
        checkpoints.read(tmp_path / "checkpoint_9", {"sde": sde_of(golden), "model": model}), golden.net, params
    )


@pytest.mark.parametrize("key", ["sdedit_ddpm", "ve_ffhq"])
def test_the_published_answer_through_a_file(tmp_path, key):
    golden = GOLDENS[key]
    params = sine_params(golden.net)["params"]
    if key == "sdedit_ddpm":
        torch_writer.write_legacy(tmp_path / "a", checkpoint_files.tensors(golden.net, params, "pytorch_diffusion"))
    else:
        torch_writer.write_zip(tmp_path / "a", checkpoint_files.score_sde(golden.net, params, params, VE_SIGMAS))
    source = checkpoints.read(tmp_path / "a", {})
    net = build.build_model(source.config)
    label = jnp.asarray(golden.noise_label, jnp.float32)
    golden.check(quick_jit(net.apply)({"params": params_of(source)}, golden.images(), label))


def test_ddim_has_averages_or_not(tmp_path):
    params, averaged = (random_params(DDPM_TINY, seed)["params"] for seed in (0, 1))
    for content, wanted, said in [
        (checkpoint_files.ddim(DDPM_TINY, params, averaged), averaged, checkpoints.AVERAGED),
        (checkpoint_files.ddim(DDPM_TINY, params), params, checkpoints.RAW),
    ]:
        torch_writer.write_zip(tmp_path / "ckpt.pth", content)
        source = checkpoints.read(tmp_path / "ckpt.pth", {})
        assert_holds(source, DDPM_TINY, wanted)
        assert source.notes == (said,)


@pytest.fixture(scope="module")
def ve_tiny():
    """A small score_sde checkpoint, and the params that are averaged in it."""
    params = random_params(VE_TINY)["params"]
    return checkpoint_files.score_sde(VE_TINY, params, params, VE_SIGMAS), params


def test_what_a_file_tells_and_what_not(tmp_path, ve_tiny):
    content, _ = ve_tiny
    torch_writer.write_zip(tmp_path / "a.pth", content)
    source = checkpoints.read(tmp_path / "a.pth", {})
    assert build.build_sde(source.config) == VESDE(0.02, 100.0)
    assert source.config["preconditioning"] == {"name": "none", "sigma_data": 0.5}
    facts = {"model.skip_rescale", "model.fir", "model.dropout", "sde.name", "data.image_size"}
    assert set(source.assumed) == facts and source.notes == (checkpoints.AVERAGED,)
    said = {"model": {"fir": False, "skip_rescale": False}, "sde": {"name": "vp"}, "data": {"image_size": 64}}
    source = checkpoints.read(tmp_path / "a.pth", said)
    assert build.build_model(source.config) == VE_TINY.clone(fir=False, skip_rescale=False, output="noise")
    assert build.build_sde(source.config) == VPSDE() and source.config["data"] == {"image_size": 64}
    assert set(source.assumed) == {"model.dropout"}


def test_without_averages_the_raw_weights_are_taken(tmp_path, ve_tiny):
    content, params = ve_tiny
    torch_writer.write_zip(tmp_path / "a.pth", content | {"ema": None})
    source = checkpoints.read(tmp_path / "a.pth", {})
    assert_holds(source, VE_TINY, params)
    assert source.notes == (checkpoints.RAW,)


def test_half_precision_is_read(tmp_path):
    params = jax.tree.map(lambda leaf: leaf.astype(np.float16), random_params(DDPM_TINY)["params"])
    torch_writer.write_zip(tmp_path / "a.ckpt", checkpoint_files.tensors(DDPM_TINY, params, "pytorch_diffusion"))
    assert_holds(checkpoints.read(tmp_path / "a.ckpt", {}), DDPM_TINY, params)


def test_copies_of_several_devices(tmp_path):
    params = random_params(VE_TINY)["params"]
    state = checkpoint_files.score_sde_flax(VE_TINY, params, params)
    state["params_ema"] = jax.tree.map(lambda leaf: np.stack([leaf, leaf]), state["params_ema"])
    write_flax(tmp_path / "a", state)
    assert_holds(checkpoints.read(tmp_path / "a", {"model": {"attention_levels": (1,)}}), VE_TINY, params)


@pytest.fixture
def refuse(tmp_path):
    """A function that asserts that a torch file of these contents is refused for such a reason."""

    def refused(content, reason, overrides=None):
        torch_writer.write_zip(tmp_path / "some.ckpt", content)
        with pytest.raises(WeightsError, match=f"(?s)some.ckpt cannot be used: .*{reason}"):
            checkpoints.read(tmp_path / "some.ckpt", overrides or {})

    return refused


@pytest.fixture(scope="module")
def ddpm_tiny():
    return checkpoint_files.tensors(DDPM_TINY, random_params(DDPM_TINY)["params"], "pytorch_diffusion")


def test_what_does_not_fit_is_named(refuse, ddpm_tiny):
    missing = {name: array for name, array in ddpm_tiny.items() if name != "up.1.attn.1.q.weight"}
    refuse(missing, r"missing up\.1\.attn\.1\.q\.weight: \(16, 16\)")
    refuse(ddpm_tiny | {"logvar": np.zeros(7, np.float32)}, r"left over logvar: \(7,\)")
    other = {"conv_out.weight": np.zeros((6, 8, 3, 3), np.float32)}
    refuse(ddpm_tiny | other, r"conv_out\.weight: wanted \(3, 3, 8, 3\) float32, found \(3, 3, 8, 6\)")
    extra = {f"extra.{i}": np.zeros(1, np.float32) for i in range(20)}
    refuse(ddpm_tiny | extra, "and 10 more")


def test_averages_have_to_fit_too(refuse, ve_tiny):
    content, _ = ve_tiny
    shadow = content["ema"]["shadow_params"]
    refuse(
        content | {"ema": {"shadow_params": shadow[:-1]}},
        f"ema.shadow_params are {len(shadow) - 1} .* trains {len(shadow)}",
    )
    swapped = [shadow[1], shadow[0], *shadow[2:]]
    refuse(content | {"ema": {"shadow_params": swapped}}, r"all_modules\.1\.bias: wanted \(32,\) float32, found")
    refuse(content | {"ema": {"shadow_params": [1, *shadow]}}, "not a list of tensors")
    refuse(
        content | {"model": {**content["model"], "module.all_modules.99.weight": shadow[0]}},
        "left over all_modules.99.weight",
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"encoder.weight": np.zeros(3, np.float32)}, "no network that is known.*encoder.weight.*What can be read"),
        ({"state_dict": {"conv_in.weight": np.zeros(3, np.float32)}}, "no network that is known.*state_dict"),
        ({1: np.zeros(3, np.float32)}, "no network that is known"),
        ({}, "nothing"),
        ({f"layer{i}.bias": np.zeros(1, np.float32) for i in range(9)}, "layer4.bias.*and 4 more"),
        ([1, 2], "a list"),
        ([{}, {}, 1, 2], "nothing"),
        ([{}, {}, 1, 2, 5], "a int"),
        (7, "a int"),
        ({"model": {}, "ema": {"shadow_params": []}}, "nothing"),
        (
            {"conv_in.weight": np.zeros(3, np.float32), "down.0.a": np.zeros(3, np.float32)},
            "conv_in.bias of the network",
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_other_contents_are_described(refuse, content, reason):
    refuse(content, reason)


def test_a_flax_file_of_something_else(tmp_path):
    path = tmp_path / "checkpoint_3"
    write_flax(path, {"params": {"Conv_0": {"bias": np.zeros(3)}}, "step": 1})
    with pytest.raises(WeightsError, match="(?s)checkpoint_3 cannot be used: .*params\n  step\n"):
        checkpoints.read(path, {})
    write_flax(path, {"params_ema": {"Conv_0": {"bias": 1}}})
    with pytest.raises(WeightsError, match="(?s)checkpoint_3 cannot be used: .*Conv_0/bias"):
        checkpoints.read(path, {})


def test_files_of_another_kind(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(b"\x89PNG\r\n")
    with pytest.raises(
        WeightsError, match="picture.png is neither a .safetensors nor a torch file nor a Flax checkpoint"
    ):
        checkpoints.read(path, {})
    for missing in (tmp_path / "no.ckpt", tmp_path):
        with pytest.raises(WeightsError, match=f"{missing.name} cannot be read"):
            checkpoints.read(missing, {})


def test_what_can_be_said(refuse, ddpm_tiny):
    refuse(ddpm_tiny, "fields of model, sde, data, as in .* got models=", {"models": {"dropout": 0.1}})
    refuse(ddpm_tiny, "config.model has no field 'drop'", {"model": {"drop": 0.1}})
    refuse(ddpm_tiny, "config.model.attention_levels must be", {"model": {"attention_levels": 1}})
    refuse(ddpm_tiny, "config.model.name must be one of", {"model": {"name": "unet"}})
    refuse(ddpm_tiny, "pytorch_diffusion has no names for this DDPM", {"model": {"attention_up": "once_per_level"}})
    refuse(ddpm_tiny, "image_size must be a number of pixels, got '256'", {"data": {"image_size": "256"}})
    refuse(ddpm_tiny, "describes no network for 33 pixels", {"data": {"image_size": 33}})
    refuse(ddpm_tiny, r"missing down\.0\.attn\.0", {"model": {"attention_levels": (0, 1)}})


def test_a_network_without_attention_needs_a_size(refuse, tmp_path):
    net = DDPM(8, (1, 2), 1, ())
    content = checkpoint_files.tensors(net, random_params(net)["params"], "pytorch_diffusion")
    refuse(content, r"say it, as in data=\{'image_size': 256\}")
    assert checkpoints.read(tmp_path / "some.ckpt", {"data": {"image_size": 64}}).config["data"] == {"image_size": 64}

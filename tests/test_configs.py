"""The published models' configs, in every form, against the numbers of the papers and of the released configs."""

import dataclasses
import importlib
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sdedit_jax import build
from sdedit_jax.losses import UniformTimes
from sdedit_jax.sdes import VESDE, VPSDE, DiscreteVPSDE
from sdedit_jax.solvers import Ancestral, EulerMaruyama, Langevin, PredictorCorrector, ReverseDiffusion, time_grid
from sdedit_jax.weights.hub import known
from tests.models.published import CENSUS

ASSETS = Path(build.__file__).parent / "assets"


@dataclasses.dataclass(frozen=True)
class Published:
    """What is published of a model; `network` is its name in the census, which counts its parameters."""

    name: str
    network: str
    sde: Any
    solver: Any
    batch: int
    steps: int
    ema: float
    form: str = ""
    rate: float = 2e-4
    reduction: str = "mean"
    dropout: float = 0.0
    edit: tuple[float, int] = (0.5, 500)
    sampling: int = 1000

    @property
    def weights(self):
        return f"{self.name}:{self.form}" if self.form and self.form != "ddpm" else self.name

    @property
    def config(self):
        get_config = importlib.import_module(f"configs.{self.name}").get_config
        return get_config(self.form) if self.form else get_config()


def ddpm_256(name, steps, form=""):
    small = Ancestral("small")
    return Published(name, "sdedit 256", DiscreteVPSDE(), small, 64, steps, 0.9999, form, rate=2e-5)


def pc(snr):
    return PredictorCorrector(ReverseDiffusion(), Langevin(snr, 1))


def ve(sigma_max):
    """The SDE of sigmas for pixels in [0, 1]."""
    return VESDE(2 * 0.01, 2 * sigma_max)


def ncsnpp_256(name, sigma_max, edit, form=""):
    fields = {"reduction": "half_sum", "edit": edit, "sampling": 2000}
    return Published(name, "ve 256", ve(sigma_max), pc(0.075), 64, 2_400_000, 0.999, form, **fields)


def cifar10(form, network, sde, solver, steps, ema, edit, reduction="mean"):
    fields = {"reduction": reduction, "dropout": 0.1, "edit": edit}
    return Published("cifar10", network, sde, solver, 128, steps, ema, form, **fields)


VP = VPSDE(0.1, 20.0)
PUBLISHED = [
    ddpm_256("lsun_bedroom", 2_388_000, "ddpm"),
    ncsnpp_256("lsun_bedroom", 378, (0.45, 1000), "ncsnpp"),
    ddpm_256("lsun_church", 4_432_000, "ddpm"),
    ncsnpp_256("lsun_church", 380, (0.45, 1000), "ncsnpp"),
    ddpm_256("lsun_cat", 1_761_000),
    ddpm_256("celebahq_256", 560_000, "ddpm"),
    ncsnpp_256("celebahq_256", 348, (0.35, 700), "ncsnpp"),
    ncsnpp_256("ffhq_256", 348, (0.35, 700)),
    Published("ffhq_1024", "ve 1024", ve(1348), pc(0.15), 8, 2_400_000, 0.9999, edit=(0.35, 700), sampling=2000),
    cifar10("ddpm", "sdedit cifar10", DiscreteVPSDE(), Ancestral("large"), 790_000, 0.9999, (0.3, 300)),
    cifar10("ddpmpp", "ddpmpp", VP, EulerMaruyama(), 1_300_000, 0.9999, (0.3, 300)),
    cifar10("ddpmpp_deep", "ddpmpp deep", VP, EulerMaruyama(), 950_000, 0.9999, (0.3, 300)),
    cifar10("ncsnpp", "ve cifar10", ve(50), pc(0.16), 1_300_000, 0.999, (0.4, 400), "half_sum"),
    cifar10("ncsnpp_deep", "ve cifar10 deep", ve(50), pc(0.16), 950_000, 0.999, (0.4, 400), "half_sum"),
]

every_model = pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: published.weights)


@every_model
def test_the_model_and_the_solver_are_those_of_the_papers(published):
    config = published.config
    net, size, _, _ = CENSUS[published.network]
    assert build.build_model(config) == net.clone(dropout=published.dropout)
    assert config.data.image_size == size
    assert build.build_sde(config) == published.sde
    assert build.build_solver(config) == published.solver


@every_model
def test_it_is_trained_as_it_was(published):
    config = published.config
    training, loss = config.training, build.build_loss(config)
    assert (config.data.source, config.data.random_flip) == (published.name, True)
    assert (training.batch_size, training.num_steps) == (published.batch, published.steps)
    assert (training.learning_rate, training.warmup_steps, training.grad_clip) == (published.rate, 5000, 1.0)
    assert (training.adam_b2, training.ema_decay) == (0.999, published.ema)
    assert (loss.weighting.kind, loss.reduction, loss.times) == ("noise", published.reduction, UniformTimes(1e-5))
    assert isinstance(build.build_optimizer(config), optax.GradientTransformation)


@every_model
def test_it_edits_and_samples_as_in_the_papers(published):
    config = published.config
    assert (config.editing.t0, config.editing.num_steps) == published.edit
    assert (config.editing.num_repeats, config.editing.guide) == (1, "")
    assert (ASSETS / config.editing.examples).is_dir() and config.editing.examples != "landscapes"
    assert config.sampling.num_steps == published.sampling


@every_model
def test_attention_is_at_16_x_16(published):
    config = published.config
    assert [config.data.image_size // 2**level for level in config.model.attention_levels] == [16]


@every_model
def test_the_weights_are_known_and_of_this_model(published):
    assert published.config.weights == published.weights
    model = known.MODELS[published.weights]
    _, size, parameters, _ = CENSUS[published.network]
    assert build.build_sde(model.overrides) == published.sde
    assert model.overrides["data"]["image_size"] == size
    # float32 weights alone, or with Adam's two moments and the average beside them; and names, 0.3 % of a small file.
    copies = 4 if all(origin.by_hand for origin in model.origins) else 1
    assert model.megabytes == pytest.approx(4e-6 * copies * parameters, rel=4e-3)


def test_every_known_model_has_a_config():
    assert {published.weights for published in PUBLISHED} == set(known.MODELS)


@every_model
def test_the_docstring_gives_the_command_and_the_source_of_the_weights(published):
    module = importlib.import_module(f"configs.{published.name}")
    text, model = " ".join(module.__doc__.split()), known.MODELS[published.weights]
    if published.name == "cifar10":
        assert (
            published.form in text and f"--config configs/cifar10.py{':' if published.form != 'ddpm' else ' '}" in text
        )
    else:
        form = f":{published.form}" if published.form == "ncsnpp" else ""
        assert re.search(
            rf"^python main.py --config configs/{published.name}.py{form} --mode edit ", module.__doc__, re.M
        )
        repository = model.origins[0].address.removeprefix("hf://")
        assert f"`{published.weights}` ({repository}, {model.megabytes} MB)" in text


@pytest.mark.parametrize("form", ["", "vp", "DDPM", "cifar10"])
@pytest.mark.parametrize("name", ["lsun_bedroom", "lsun_church", "celebahq_256", "cifar10"])
def test_a_form_that_is_none_is_refused(name, form):
    with pytest.raises(ValueError, match=f"has no form {form!r}: its forms are ddpm"):
        importlib.import_module(f"configs.{name}").get_config(form)


def labels(published, t0, num_steps):
    sde = published.sde
    times = np.asarray(time_grid(jnp.float32(t0), num_steps, sde.t_min)[:-1])
    return np.asarray(jax.jit(sde.noise_label)(times))


@pytest.mark.parametrize("published", [p for p in PUBLISHED if isinstance(p.sde, DiscreteVPSDE)], ids=lambda p: p.name)
def test_an_edit_with_ddpm_visits_every_step_of_the_reference(published):
    """The official code's ``--t 500`` is 500 network evaluations, at the indices 499, ..., 0."""
    t0, num_steps = published.edit
    np.testing.assert_array_equal(labels(published, t0, num_steps), np.arange(num_steps)[::-1])


@pytest.mark.parametrize(
    ("name", "highest", "middle"),
    [("lsun_bedroom", 378, 1.9493548), ("lsun_church", 380, 1.9545069), ("ffhq_256", 348, 1.8703619)],
)
def test_the_noise_labels_of_ve_are_the_published_sigmas(name, highest, middle):
    """Entries 0, 1000 and 1999 of score_sde's `discrete_sigmas` of 2000 levels, computed there in float32."""
    [published] = [p for p in PUBLISHED if p.name == name and isinstance(p.sde, VESDE)]
    t = jnp.array([1e-7, 1000 / 1999, 1.0])
    np.testing.assert_allclose(published.sde.noise_label(t), [0.01, middle, highest], rtol=1e-5)


def test_without_a_corrector_ve_is_edited_as_in_the_paper():
    """Meng et al.'s algorithm 1 is the ancestral step of the large variance; on VE the predictor's is the same."""
    config = importlib.import_module("configs.lsun_bedroom").get_config("ncsnpp")
    config.solver.corrector.num_steps = 0
    solver, sde = build.build_solver(config), build.build_sde(config)
    assert solver.nfe_per_step == 1
    x, t, t_next = jnp.linspace(-3.0, 3.0, 48).reshape(1, 4, 4, 3), jnp.float32(0.45), jnp.float32(0.44)
    key = jax.random.key(0)
    _, key_predictor = jax.random.split(key)

    def score_fn(x, t):
        return -x / (1.0 + sde.sigma(t) ** 2)

    def steps(key, key_predictor):
        paper = Ancestral("large").step(sde, score_fn, key_predictor, x, t, t_next)
        return solver.step(sde, score_fn, key, x, t, t_next), paper

    with jax.debug_key_reuse(False):  # the second step gets the key that the first one makes for its predictor
        found, paper = jax.jit(steps)(key, key_predictor)
    np.testing.assert_allclose(found, paper, rtol=1e-5)  # float32 sums in another order

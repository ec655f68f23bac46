# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Edit your own picture
#
# Paint a few strokes, or upload a picture, and a diffusion model makes it realistic ([SDEdit, Meng et al.
# 2022](https://arxiv.org/abs/2108.01073)). Runs on a TPU, a GPU or a CPU, on as many devices as there are: in Colab
# choose one in *Runtime > Change runtime type*.

# %%
# What pip installs in Colab: a folder, wheel or archive that you uploaded, or git+https://ADDRESS of the repository.
SOURCE = "/content/sdedit_jax"

# %% [markdown]
# The package is installed beside the JAX that is here, which is the one that knows this machine's TPU or GPU, and
# which pip is therefore told to leave alone.

# %%
import importlib.metadata
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

if importlib.util.find_spec("sdedit_jax") is None:
    version = importlib.metadata.version("jax")
    if not (0, 10) <= tuple(map(int, version.split(".")[:2])) < (0, 13):
        raise RuntimeError(
            f"This machine has JAX {version}, and sdedit_jax needs 0.10 to 0.12. Choose another runtime version in "
            'Runtime > Change runtime type; or replace JAX here (%pip install "jax[tpu]>=0.10,<0.13", on a GPU '
            "jax[cuda12], on a CPU jax) and restart the session."
        )
    found = {dist.name: dist.version for dist in importlib.metadata.distributions()}
    held = [f"{name}=={found[name]}" for name in found if name.startswith("jax") or name == "libtpu"]
    constraints = Path(tempfile.mkdtemp()) / "constraints.txt"
    constraints.write_text("\n".join(held))
    wanted = f"sdedit_jax[hub] @ {SOURCE}" if "://" in SOURCE else f"{SOURCE}[hub]"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "-c", str(constraints), wanted], check=True)
    importlib.invalidate_caches()

# %% [markdown]
# ## The model
#
# `landscapes` comes with the package: rendered landscapes of 64 × 64 pixels. `lsun_bedroom`, `lsun_church` and
# `celebahq_256` are fetched, and of 256 × 256 pixels: take a GPU or TPU for them.

# %% tags=["parameters"]
import os

MODEL = "landscapes"
FAST = bool(os.environ.get("SDEDIT_FAST"))  # a rehearsal in seconds
NUM_STEPS = 2 if FAST else 25
NUM_SAMPLES = 8

# %%
import functools

import jax
import numpy as np
from IPython.display import display
from PIL import Image

import sdedit_jax
from sdedit_jax import (
    DPMSolverSDE,
    choose_t0,
    contact_sheet,
    fit_mask_to_model,
    fit_to_model,
    load_image,
    load_model,
    metrics,
    pmap_batch,
    restore_size,
    save_image,
    sdedit,
    sweep,
    to_uint8,
)

print(f"{jax.local_device_count()} x {jax.devices()[0].device_kind}")
loaded = load_model(MODEL)
# One call for all devices: eight TPU cores make eight pictures at once.
edit_fn = pmap_batch(
    functools.partial(sdedit, model=loaded.model, sde=loaded.sde, solver=DPMSolverSDE(), num_steps=NUM_STEPS)
)


def show(rows, captions):
    """Rows of pictures, enlarged."""
    display(Image.fromarray(to_uint8(contact_sheet(rows, captions))))


# %% [markdown]
# ## The guide
#
# `HOW = "paint"` opens a canvas, `"upload"` asks for a file (both in Colab), a path takes that file, and `"example"` a
# painting that comes with the package.

# %%
HOW = "example"
IN_COLAB = "google.colab" in sys.modules

CANVAS = """
new Promise(done => {
  const canvas = Object.assign(document.createElement('canvas'), {width: 384, height: 384})
  const color = Object.assign(document.createElement('input'), {type: 'color', value: '#3a7ca5'})
  const width = Object.assign(document.createElement('input'), {type: 'range', min: 4, max: 96, value: 48})
  const button = Object.assign(document.createElement('button'), {textContent: 'Done'})
  const pen = canvas.getContext('2d')
  pen.fillStyle = '#9cc4e4'
  pen.fillRect(0, 0, 384, 384)
  pen.lineCap = pen.lineJoin = 'round'
  canvas.style = 'display: block; touch-action: none; cursor: crosshair'
  canvas.onpointerdown = event => {
    canvas.setPointerCapture(event.pointerId)
    pen.strokeStyle = color.value
    pen.lineWidth = width.value
    pen.beginPath()
    pen.moveTo(event.offsetX, event.offsetY)
  }
  canvas.onpointermove = event => {
    if (!event.buttons) return
    pen.lineTo(event.offsetX, event.offsetY)
    pen.stroke()
  }
  button.onclick = () => done(canvas.toDataURL('image/png'))
  document.body.append(canvas, color, width, button)
})
"""


def picture_file():
    """The file to edit."""
    if HOW == "example":
        return Path(sdedit_jax.__file__).parent / "assets" / "landscapes" / "mountain_lake.png"
    if HOW not in ("paint", "upload"):
        return Path(HOW)
    if not IN_COLAB:
        raise RuntimeError("A canvas and uploads need Colab. Here HOW is the path of a picture.")
    if HOW == "upload":
        from google.colab import files

        return Path(next(iter(files.upload())))
    import base64

    from google.colab import output

    Path("painting.png").write_bytes(base64.b64decode(output.eval_js(CANVAS).split(",")[1]))
    return Path("painting.png")


guide_file = picture_file()
picture = load_image(guide_file)
# Everything may change. Or sdedit_jax.load_mask("mask.png", picture.shape[:2]), in which white may.
may_change = np.ones((*picture.shape[:2], 1), np.float32)

size = (loaded.image_size, loaded.model.downsampling_factor)
x_guide = fit_to_model(picture, *size)[None]
mask = fit_mask_to_model(may_change, *size)[None]
show([[x_guide[0]]], [[guide_file.name]])

# %% [markdown]
# ## Which t0
#
# A small t0 keeps to the guide, a large one is more realistic: a row for each, the same noise in all of them. Below
# each stands its L2, the distance from the guide.

# %%
T0S = (0.3, 0.4, 0.5, 0.6)
columns = NUM_SAMPLES // len(T0S)
x_guides = np.repeat(x_guide, columns, axis=0)
x_edits = np.asarray(sweep(loaded.params, jax.random.key(0), x_guides, mask, T0S, edit_fn=edit_fn))
captions = [[f"t0 = {t0}, L2 {l2:.1f}" for l2 in metrics.l2(x, x_guides)] for t0, x in zip(T0S, x_edits, strict=True)]
show([list(row) for row in x_edits], captions)

# %% [markdown]
# Or say how far the edit may be from the guide, and let t0 be found. L2 sums over pixels: 8 at 64 × 64 is 32 at 256 ×
# 256, where the paper's edits lie.

# %%
target = 8.0 * loaded.image_size / 64
chosen = choose_t0(
    loaded.params, jax.random.key(0), x_guide, mask, target, edit_fn=edit_fn, num_rounds=1 if FAST else 2
)
print(f"t0 = {chosen.t0:.3f}, L2 {chosen.l2:.2f}")

# %% [markdown]
# ## The candidates
#
# Many at once, of which you keep the best. They are written beside the notebook, at the size of your picture and with
# their settings inside.

# %%
T0 = round(chosen.t0, 2)
candidates = edit_fn(loaded.params, jax.random.key(1), np.repeat(x_guide, NUM_SAMPLES, axis=0), mask, T0)
restored = [restore_size(x, picture, may_change) for x in candidates]
names = [f"{guide_file.stem}_{i:02d}.png" for i in range(NUM_SAMPLES)]
for name, x in zip(names, restored, strict=True):
    save_image(name, x, {"guide": guide_file.name, "model": MODEL, "t0": T0, "num_steps": NUM_STEPS, "seed": 1})
half = NUM_SAMPLES // 2
show([restored[:half], restored[half:]], [names[:half], names[half:]])

# %%
if IN_COLAB and not FAST:
    from google.colab import files

    for name in names:
        files.download(name)

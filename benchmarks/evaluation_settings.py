"""Which cheaper setting of the solvers gives the numbers of 500 ancestral steps, so that evaluations can use it.

    python -m benchmarks.evaluation_settings DATA_FOLDER WORK_FOLDER [SETTING ...]

The first 200 test pictures of the landscapes, as strokes of six colours, are edited by the bundled model at t0 = 0.5
with several seeds. A setting is good enough if KID and L2 are no farther from those of the reference than its seeds are
from each other. Edits are kept in WORK_FOLDER, so that it can be interrupted; the table is of those that are there.

Last result, of the seeds that were made (the bundled model of 3,336 steps; photographs are the test pictures
themselves):

                        KID (Lite0, 128 px)  KID (VGG16, 64 px)      L2
photographs                          0.0009              0.0009   6.982
strokes                              0.2558              0.3521   0.000
ancestral 500, seed 0                0.3821              0.0547   8.732
dpm 25, seed 0                       0.3784              0.0538   8.708
dpm 25, seed 1                       0.3780              0.0554   8.745
dpm 25, seed 2                       0.3748              0.0491   8.683
dpm 12, seed 0                       0.3826              0.0536   8.531
dpm 12, seed 1                       0.3909              0.0583   8.585
dpm 12, seed 2                       0.3740              0.0509   8.485
ancestral 50, seed 0                 0.3866              0.0585   8.362
ancestral 25, seed 0                 0.3920              0.0639   8.037
ode, order 2, 25, seed 0             0.3851              0.0563   7.549
ode, order 2, 12, seed 0             0.3870              0.0561   7.558
ode, order 1, 25, seed 0             0.3914              0.0577   7.337

25 steps of DPMSolverSDE give the numbers of 500 ancestral ones; 12 give their KID, but stay closer to the guide by more
than seeds differ. Too few ancestral steps stay closer to it as well, and the ODE, which adds no noise, does at any
number of steps: that is another law, not an error.
"""

import functools
import sys
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

from sdedit_jax import (
    Ancestral,
    DPMSolverSDE,
    ProbabilityFlow,
    disk,
    load_model,
    metrics,
    parallel,
    sdedit,
    simulate_strokes,
)
from sdedit_jax.data import pipeline
from sdedit_jax.metrics import networks
from sdedit_jax.pixels import to_uint8

NUM_PICTURES, BATCH_SIZE, T0 = 200, 40, 0.5
SETTINGS = {  # name: solver, steps, seeds
    "ancestral 25": (Ancestral(), 25, 3),
    "ancestral 50": (Ancestral(), 50, 3),
    "ode, order 2, 12": (ProbabilityFlow(order=2), 12, 3),
    "ode, order 1, 25": (ProbabilityFlow(), 25, 3),
    "ode, order 2, 25": (ProbabilityFlow(order=2), 25, 3),
    "dpm 12": (DPMSolverSDE(), 12, 3),
    "dpm 25": (DPMSolverSDE(), 25, 3),
    "dpm 50": (DPMSolverSDE(), 50, 3),
    "ancestral 500": (Ancestral(), 500, 3),
}
NETWORKS = {"Lite0": lambda: networks.efficientnet_lite0(128), "VGG16": lambda: networks.vgg16(64)}


def main(data: str, work: str, *names: str) -> None:
    """Edits what is missing, seed by seed, then prints the table."""
    pictures = first_pictures(data, "test", NUM_PICTURES)
    x_guide = simulate_strokes(pictures)
    for seed in range(3):
        for name in names or SETTINGS:
            if seed < SETTINGS[name][2]:
                edit(name, seed, x_guide, Path(work))
    print_table(pictures, x_guide, first_pictures(data, "train", 2000), Path(work))


def first_pictures(data: str, split: str, count: int) -> np.ndarray:
    """(count, 64, 64, 3) in [-1, 1]."""
    source = pipeline.open_source(data, f"{split}[:{count}]", 64)
    return np.concatenate(list(pipeline.eval_batches(source, 200)))


def edit(name: str, seed: int, x_guide: np.ndarray, work: Path) -> None:
    """Edits all guides, batch by batch, each into a file of its own."""
    solver, num_steps, _ = SETTINGS[name]
    loaded = load_model("landscapes")
    bind = functools.partial(sdedit, model=loaded.model, sde=loaded.sde, solver=solver, num_steps=num_steps)
    run = parallel.pmap_batch(lambda params, key, x: bind(params, key, x, None, T0))
    image_keys = jax.random.split(jax.random.key(seed), NUM_PICTURES)
    for start in tqdm(range(0, NUM_PICTURES, BATCH_SIZE), desc=f"{name}, seed {seed}"):
        path = batch_path(work, name, seed, start)
        if not path.exists():
            rows = slice(start, start + BATCH_SIZE)
            x_edit = to_uint8(np.asarray(run(loaded.params, image_keys[rows], x_guide[rows])))
            with disk.replacing(path) as temporary, open(temporary, "wb") as file:
                np.save(file, x_edit)


def batch_path(work: Path, name: str, seed: int, start: int) -> Path:
    """Where the edits of the guides from `start` on are."""
    return work / name.replace(", ", "_").replace(" ", "_") / f"seed_{seed}" / f"{start:04d}.npy"


def print_table(pictures: np.ndarray, x_guide: np.ndarray, real: np.ndarray, work: Path) -> None:
    """KID by network and L2 of every setting and seed that is complete."""
    for label, make in NETWORKS.items():
        network = make()
        of_real = metrics.cached_features(work / f"real_{label}.safetensors", network, lambda: np.array_split(real, 20))

        def show(name, images, network=network, of_real=of_real, label=label):
            features = metrics.extract_features(network, np.array_split(images, 5))
            kid = metrics.kid(features, of_real, subset_size=NUM_PICTURES)
            l2 = metrics.l2(x_guide, images).mean()
            print(f"{name:24} KID ({label}, {network.resize}) {kid.mean:8.4f}   L2 {l2:.3f}", flush=True)

        show("photographs", to_uint8(pictures))
        show("strokes", to_uint8(x_guide))
        for name, (_, _, seeds) in SETTINGS.items():
            for seed in range(seeds):
                paths = [batch_path(work, name, seed, start) for start in range(0, NUM_PICTURES, BATCH_SIZE)]
                if all(path.exists() for path in paths):
                    show(f"{name}, seed {seed}", np.concatenate([np.load(path) for path in paths]))


if __name__ == "__main__":
    main(*sys.argv[1:])

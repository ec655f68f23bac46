"""Pictures a second that training can read, from each kind of data set at 32, 64 and 256 pixels.

python -m benchmarks.input_pipeline [SECONDS]

Writes its own data into a temporary folder: photographs of 1600 x 1200, the same in an LMDB as LSUN stores them (JPEG,
256 pixels high), as tfrecords of StyleGAN and as prepared by `--mode prepare`; then reads shuffled, flipped batches of
8 for some seconds (5) each.

Last result (two idle AVX2 cores, Pillow, three seconds each; noisy by tens of per cent):

pictures/s    photographs   LMDB   tfrecords   prepared
  32 pixels            19    191       1,096        669
  64 pixels            22    147         903        700
 256 pixels            13    297         928        378

Training takes 10 pictures a second of the landscapes (64 pixels) on these cores and 1.2 of CIFAR-10 with NCSN++ (32
pixels; `train_step.py`). An LMDB gives 15 times as much, tfrecords and prepared pictures 70 to 90 times, where 5 was
the goal; original photographs give twice as much and are better prepared once.
"""

import contextlib
import io
import itertools
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
from PIL import Image
from tensorflow_datasets.proto import tf_example_pb2

from sdedit_jax.data.pipeline import READ_OPTIONS, open_source, train_batches
from sdedit_jax.data.preparing import prepare

COUNT, BATCH_SIZE = 48, 8


def photograph(index: int, height: int = 1200, width: int = 1600) -> Image.Image:
    """Smooth shapes under noise as of a sensor, so that it decodes about as slowly as a photograph."""
    rng = np.random.default_rng(index)
    shapes = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    return Image.fromarray(np.clip(np.asarray(shapes) + rng.normal(0, 4, (height, width, 3)), 0, 255).astype(np.uint8))


def write_photographs(folder: Path) -> Path:
    folder.mkdir()
    for index in range(COUNT):
        photograph(index).save(folder / f"{index}.jpg", quality=90)
    return folder


def write_lmdb(folder: Path) -> Path:
    with lmdb.open(str(folder), map_size=1 << 28) as environment, environment.begin(write=True) as transaction:
        for index in range(COUNT):
            file = io.BytesIO()
            photograph(index, 256, 341).save(file, "JPEG", quality=75)
            transaction.put(b"%040x" % index, file.getvalue())
    return folder


def write_tfrecords(folder: Path, image_size: int) -> Path:
    """Frames without their checksums, which are not read."""
    folder.mkdir()
    with open(folder / "pictures.tfrecords", "wb") as file:
        for index in range(COUNT):
            pixels = np.asarray(photograph(index, image_size, image_size)).transpose(2, 0, 1)
            example = tf_example_pb2.Example()
            example.features.feature["shape"].int64_list.value.extend(pixels.shape)
            example.features.feature["data"].bytes_list.value.append(pixels.tobytes())
            content = example.SerializeToString()
            file.write(len(content).to_bytes(8, "little") + bytes(4) + content + bytes(4))
    return folder


def pictures_per_second(data: Path, image_size: int, seconds: float) -> float:
    """Measured once as many batches were taken as are read ahead, since those were begun before."""
    batches: Any = train_batches(open_source(data, "train", image_size), batch_size=BATCH_SIZE, seed=0)
    with contextlib.closing(batches):  # or what it reads ahead would disturb the next measurement
        for _ in range(READ_OPTIONS.prefetch_buffer_size):
            next(batches)
        start = time.perf_counter()
        for number in itertools.count(1):
            next(batches)
            if (elapsed := time.perf_counter() - start) > seconds:
                return number * BATCH_SIZE / elapsed
    raise AssertionError("batches have no end")


def main(seconds: float = 5.0) -> None:
    """Prints a line for each kind and size."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        photographs, lsun = write_photographs(root / "photographs"), write_lmdb(root / "lmdb")
        print("pictures/s    photographs   LMDB   tfrecords   prepared")
        for size in (32, 64, 256):
            tfrecords = write_tfrecords(root / f"tfrecords_{size}", size)
            prepared = prepare(photographs, root / f"prepared_{size}", image_size=size, num_workers=1).folder
            rates = [pictures_per_second(data, size, seconds) for data in (photographs, lsun, tfrecords, prepared)]
            print(f"{size:4} pixels   {rates[0]:11,.0f} {rates[1]:6,.0f} {rates[2]:11,.0f} {rates[3]:10,.0f}")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))

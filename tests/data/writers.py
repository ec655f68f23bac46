"""The same pictures as a folder, as an LMDB by its own library, and as tfrecords in the framing as it is published."""

import io

import lmdb
import numpy as np
from PIL import Image
from tensorflow_datasets.proto import tf_example_pb2

from tests.data.framing import frame

COUNT, SIZE = 30, 8


def picture(index, size=SIZE, width=None):
    """(size, width, 3) uint8 noise with the record's number in its first pixel."""
    pixels = np.random.default_rng(index).integers(0, 256, (size, width or size, 3), np.uint8)
    pixels[0, 0] = index
    return pixels


def encode(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def write_folder(root):
    for index in range(COUNT):
        path = root / f"part_{index % 3}" / "deep" / f"{index:02}.PNG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(picture(index)))
    (root / "notes.txt").write_text("no picture")
    (root / ".hidden").mkdir()
    (root / ".hidden" / "thumbnail.png").write_bytes(b"no picture either")
    return root


def write_lmdb(root, values=None):
    with lmdb.open(str(root), map_size=1 << 24) as environment, environment.begin(write=True) as transaction:
        for index, value in enumerate(values or [encode(picture(index)) for index in range(COUNT)]):
            transaction.put(b"%040x\0" % index, value)
    return root


def example(pixels, shape=None):
    """A record of StyleGAN's, which may claim another shape, channels first, than the pixels have."""
    record = tf_example_pb2.Example()
    channels_first = pixels.transpose(2, 0, 1)
    record.features.feature["shape"].int64_list.value.extend(shape or channels_first.shape)
    record.features.feature["data"].bytes_list.value.append(channels_first.tobytes())
    return record.SerializeToString()


def write_tfrecords(root, size=SIZE, count=COUNT):
    root.mkdir(exist_ok=True)
    path = root / f"faces-r{size.bit_length() - 1:02}.tfrecords"
    path.write_bytes(b"".join(frame(example(picture(index, size))) for index in range(count)))
    return root


WRITERS = {"folder": write_folder, "lmdb": write_lmdb, "tfrecords": write_tfrecords}

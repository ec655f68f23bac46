"""Small data sets as TFDS prepares them, and as it would in the format TFRecord."""

import io
import json
import shutil

import numpy as np
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordReader
from PIL import Image

from tests.data.framing import frame

NUM_TRAIN, NUM_TEST, SIZE = 24, 5, 4


def picture(index):
    """(SIZE, SIZE, 3) uint8: red tells the record, green tells left from right, blue covers the ends of the range."""
    pixels = np.zeros((SIZE, SIZE, 3), np.uint8)
    pixels[..., 0] = index
    pixels[..., 1] = np.arange(SIZE)
    pixels[..., 2] = 255 * (index % 2)
    return pixels


class Pictures(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")
    CHANNELS = 3

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {"image": tfds.features.Image(shape=(SIZE, SIZE, self.CHANNELS)), "seed": np.int64}
            ),
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(NUM_TRAIN), "test": self._generate_examples(NUM_TEST)}

    def _generate_examples(self, count):
        for index in range(count):
            file = io.BytesIO()
            Image.fromarray(picture(index)[..., : self.CHANNELS].squeeze()).save(file, "PNG")
            file.seek(0)
            yield index, {"image": file, "seed": index}


class GreyPictures(Pictures):
    CHANNELS = 1


class TrainPictures(Pictures):
    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(NUM_TRAIN)}


def prepare(root, builder_class=Pictures):
    config = tfds.download.DownloadConfig(num_shards=3)
    builder = builder_class(data_dir=root, file_format="array_record")
    builder.download_and_prepare(download_config=config)
    return builder.data_path


def as_tfrecords(data_dir, folder):
    """A copy of a prepared folder in the format TFRecord, which TFDS writes with TensorFlow only."""
    shutil.copytree(data_dir, folder)
    for path in folder.glob("*.array_record-*"):
        records = ArrayRecordReader(str(path)).read_all()
        path.with_name(path.name.replace("array_record", "tfrecord")).write_bytes(b"".join(map(frame, records)))
        path.unlink()
    info = folder / "dataset_info.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | {"fileFormat": "tfrecord"}))
    return folder

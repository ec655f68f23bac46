"""The framing of TFRecord files, as published: https://www.tensorflow.org/tutorials/load_data/tfrecord."""

import struct


def masked_crc32c(content):
    """The checksum of the framing: CRC-32C (reflected, polynomial 0x1EDC6F41), rotated by 15 bits, plus a constant."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return (crc >> 15 | crc << 17) + 0xA282EAD8 & 0xFFFFFFFF


def frame(content):
    length = struct.pack("<Q", len(content))
    return b"".join(
        [length, struct.pack("<I", masked_crc32c(length)), content, struct.pack("<I", masked_crc32c(content))]
    )

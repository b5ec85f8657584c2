"""Records of TensorBoard's event files, many at once.

A record is the length of an event, the event, and after each of them its checksum, a masked CRC-32C. tensorboard's own
writer computes the checksums in a Python loop over every byte.
"""

import struct
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

POLYNOMIAL = 0x82F63B78  # of CRC-32C, its lowest power in the highest bit
MAX_BLOCK = 1024  # bytes whose part of a checksum is looked up at once
WALL_TIME = slice(1, 9)  # its bytes in an event; before them and before the step is the number of the field

Bytes = NDArray[np.uint8]


def record(event: Event) -> bytes:
    """Return the record of an event."""
    return _records(np.frombuffer(event.SerializeToString(), np.uint8)[None])


def scalar_records(times: Sequence[float], steps: Sequence[int], scalars: Mapping[str, NDArray[np.float32]]) -> bytes:
    """Return the records of n events, each with one scalar of every tag.

    Args:
        times: Wall time of each event, (n,), above 0.
        steps: The step of each, (n,), at least 0.
        scalars: The scalars by tag, (n,) each.
    """
    parts = []
    for _, group in groupby(range(len(steps)), key=lambda row: _varint_size(steps[row])):
        rows = list(group)
        part = slice(rows[0], rows[-1] + 1)
        parts.append(_records(_events(times[part], steps[part], {tag: each[part] for tag, each in scalars.items()})))
    return b"".join(parts)


def _events(times: Sequence[float], steps: Sequence[int], scalars: Mapping[str, NDArray[np.float32]]) -> Bytes:
    """Return events whose serialized forms differ in the bytes of their numbers alone: (n, length)."""
    values = [Summary.Value(tag=tag, simple_value=0) for tag in scalars]
    template = Event(wall_time=times[0], step=steps[0], summary=Summary(value=values)).SerializeToString()
    events = np.tile(np.frombuffer(template, np.uint8), (len(steps), 1))
    events[:, WALL_TIME] = _as_bytes(np.array(times, "<f8"))
    if size := _varint_size(steps[0]):
        groups = np.array(steps, np.uint64)[:, None] >> np.arange(0, 7 * size, 7, dtype=np.uint64)
        more = np.append(np.full(size - 1, 128), 0)
        start = WALL_TIME.stop + 1
        events[:, start : start + size] = groups & np.uint64(127) | more.astype(np.uint64)
    end = len(template)  # each scalar is at the end of its value, and the last value at that of the event
    for value, numbers in reversed(list(zip(values, scalars.values(), strict=True))):
        events[:, end - 4 : end] = _as_bytes(numbers.astype("<f4"))
        end -= len(Summary(value=[value]).SerializeToString())
    return events


def _varint_size(number: int) -> int:
    """Return the number of bytes, of 7 bits each, that protobuf writes of a number; none of 0."""
    return -(-number.bit_length() // 7)


def _records(events: Bytes) -> bytes:
    """Return the records of serialized events of one length, (n, length)."""
    length = np.frombuffer(struct.pack("<Q", events.shape[1]), np.uint8)[None]
    header = np.concatenate([length, _as_bytes(masked_crc32c(length))], axis=1)
    headers = np.repeat(header, len(events), axis=0)
    return np.concatenate([headers, events, _as_bytes(masked_crc32c(events))], axis=1).tobytes()


def _as_bytes(numbers: NDArray[np.generic]) -> Bytes:
    """Return the bytes of numbers: (n,) -> (n, size)."""
    return np.ascontiguousarray(numbers).view(np.uint8).reshape(len(numbers), -1)


def masked_crc32c(content: Bytes) -> NDArray[np.uint32]:
    """Return the checksum of each row of at least 4 bytes: (n, length) -> (n,).

    A CRC is linear: that of a block of bytes is the XOR of the CRC of each byte with zeros behind it. What is carried
    from one block into the next is added to the first 4 bytes there.
    """
    length = content.shape[1]
    size = min(MAX_BLOCK, 1 << (length - 1).bit_length())
    blocks = np.zeros((len(content), -(-length // size) * size), np.uint8)  # zeros in front change nothing
    blocks[:, -length:] = content
    blocks[:, -length : blocks.shape[1] - length + 4] ^= 255  # the initial value
    tables = _tables(size)
    position = np.arange(size)
    carried = np.zeros(len(content), np.uint32)
    for block in blocks.reshape(len(content), -1, size).swapaxes(0, 1):
        block[:, :4] ^= _as_bytes(carried.astype("<u4"))
        carried = np.bitwise_xor.reduce(tables[position, block], axis=1).astype(np.uint32)
    value: NDArray[Any] = ~carried
    return (((value >> 15) | (value << 17)) + np.uint32(0xA282EAD8)).astype("<u4")


@cache
def _tables(size: int) -> NDArray[np.uint32]:
    """Return the CRC, without initial value and complement, of each byte at each place of a block: (size, 256)."""
    last: NDArray[Any] = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        last = (last >> 1) ^ (last & 1) * np.uint32(POLYNOMIAL)
    tables = np.empty((size, 256), np.uint32)
    tables[-1] = last
    for place in range(size - 2, -1, -1):
        tables[place] = (tables[place + 1] >> 8) ^ last[tables[place + 1] & 255]
    return tables

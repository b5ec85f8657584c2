"""Records of event files, against tensorboard's own writer."""

import io

import numpy as np
import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from src.storage.event_records import MAX_BLOCK, masked_crc32c, record, scalar_records


def written(*events: Event) -> bytes:
    file = io.BytesIO()
    writer = RecordWriter(file)
    for event in events:
        writer.write(event.SerializeToString())
    return file.getvalue()


def test_the_checksum_is_that_of_the_standard() -> None:
    content = np.frombuffer(b"123456789" + bytes(32), np.uint8)
    masked = [int(masked_crc32c(part[None])[0]) for part in (content[:9], content[9:])]
    unmasked = [(value - 0xA282EAD8) % 2**32 for value in masked]
    rotated = [(value << 15 | value >> 17) % 2**32 for value in unmasked]
    assert rotated == [0xE3069283, 0x8A9136AA]  # RFC 3720, B.4


@pytest.mark.parametrize("length", [10, 200, MAX_BLOCK - 3, MAX_BLOCK, MAX_BLOCK + 1, 3 * MAX_BLOCK + 17])
def test_a_record_is_that_of_tensorboard(length: int) -> None:
    content = np.random.default_rng(length).bytes(length).hex()
    event = Event(wall_time=1.5, file_version=content)
    assert record(event) == written(event)


def test_scalars_are_those_of_tensorboard() -> None:
    steps = [0, 1, 26, 127, 128, 16383, 16384, 5, 2**31, 2**53 + 1, 2**62]
    times = np.linspace(1.7e9, 1.8e9, len(steps)).tolist()
    special = [np.nan, -np.nan, np.inf, -np.inf, 0, -0.0, 1e-45]
    values = np.array([*special, *np.random.default_rng(0).normal(size=len(steps) - len(special))], np.float32)
    for tags in ([], ["train/loss"], ["train/loss", "", "x" * 300]):
        scalars = {tag: values * (1 + number) for number, tag in enumerate(tags)}
        events = [
            Event(
                wall_time=time,
                step=step,
                summary=Summary(
                    value=[Summary.Value(tag=tag, simple_value=each[row]) for tag, each in scalars.items()]
                ),
            )
            for row, (time, step) in enumerate(zip(times, steps, strict=True))
        ]
        assert scalar_records(times, steps, scalars) == written(*events)
    assert scalar_records([], [], {}) == b""

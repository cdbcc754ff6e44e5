"""Writes records.json: checksums, and records of event files as TensorBoard itself writes them.

    pip install tensorboard==2.21.0
    python test/goldens/tensorboard/records.py
"""

import io
import json
from importlib.metadata import version
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import crc32c, masked_crc32c
from tensorboard.summary.writer.record_writer import RecordWriter

TEXTS = [b"", b"a", b"123456789", bytes(32), b"\xff" * 32, bytes(range(32)), bytes(range(256)) * 3]

CONTENTS = [
    {"fileVersion": "brain.Event:2"},
    {"restartsAt": 1},
    {"restartsAt": 300},
    {"step": 1, "scalars": {"train/loss": 0.6931471805599453}},
    {"step": 127, "scalars": {"train/loss": 1.5, "train/learning_rate": 2e-05, "train/grad_norm": 12345.678, "train/epoch": 0.25}},
    {"step": 128, "scalars": {"eval/f1": 0.0, "eval/matthews": -0.125}},
    {"step": 5_000_000_000, "scalars": {"eval/" + "naïve" * 40: 1e-40}},
]


def event(wall_time: float, content: dict) -> Event:
    if "fileVersion" in content:
        return Event(wall_time=wall_time, file_version=content["fileVersion"])
    if "restartsAt" in content:
        return Event(wall_time=wall_time, step=content["restartsAt"], session_log=SessionLog(status=SessionLog.START))
    values = [Summary.Value(tag=tag, simple_value=value) for tag, value in content["scalars"].items()]
    return Event(wall_time=wall_time, step=content["step"], summary=Summary(value=values))


def record(data: bytes) -> bytes:
    file = io.BytesIO()
    RecordWriter(file).write(data)
    return file.getvalue()


checksums = [{"hex": text.hex(), "crc32c": crc32c(text), "masked": masked_crc32c(text)} for text in TEXTS]
records = []
for i, content in enumerate(CONTENTS):
    wall_time = 1.7e9 + i / 8
    records.append({"wallTime": wall_time, "content": content, "hex": record(event(wall_time, content).SerializeToString()).hex()})

result = {"tensorboard": version("tensorboard"), "checksums": checksums, "records": records}
Path(__file__).with_name("records.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")

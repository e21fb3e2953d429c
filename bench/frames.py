"""Frames of a stream as they were read, kept in a file: when each came, and its bytes."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

# Seconds after the first one, and the bytes.
TimedFrame: TypeAlias = tuple[float, bytes]

_HEAD = struct.Struct("<dI")


def write_frames(path: Path, frames: Sequence[TimedFrame]) -> None:
    """Write a file of frames."""
    with path.open("wb") as file:
        for offset, frame in frames:
            file.write(_HEAD.pack(offset, len(frame)))
            file.write(frame)


def read_frames(path: Path) -> list[TimedFrame]:
    """Read a file of frames."""
    frames = []
    with path.open("rb") as file:
        while head := file.read(_HEAD.size):
            offset, length = _HEAD.unpack(head)
            frames.append((offset, file.read(length)))
    return frames

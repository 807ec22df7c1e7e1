"""What a WAV file's header says, and whether it is true."""

from __future__ import annotations

import struct
from pathlib import Path

from limbeck.errors import DataError

__all__ = ["MAX_CHANNELS", "RATES", "check_wav"]

RATES = (1_000, 768_000)
"""Sampling rates that are believed, in hertz."""
MAX_CHANNELS = 64


def check_wav(path: Path) -> None:
    """Raise DataError where a WAV file's header promises more than there is: the decoder forgives it, we do not."""
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            raise DataError("is not a WAV file, though it is called one", where=path)
        size = path.stat().st_size
        while len(chunk := file.read(8)) == 8:
            kind, length = struct.unpack("<4sI", chunk)
            if kind == b"fmt ":
                _check_format(file.read(length), path)
                file.seek(length % 2, 1)
            elif kind == b"data":
                # 0xFFFFFFFF and 0 mean "until the end" in files that were written as a stream
                if length not in (0, 0xFFFFFFFF) and file.tell() + length > size:
                    missing = file.tell() + length - size
                    raise DataError(f"is truncated: {missing} bytes of sound are missing", where=path)
                if size == file.tell():
                    raise DataError("holds no sound (0 samples)", where=path)
                return
            else:
                file.seek(length + length % 2, 1)
    raise DataError("is truncated: it has no sound", where=path)


def _check_format(data: bytes, path: Path) -> None:
    if len(data) < 16:
        raise DataError("is truncated: its header is cut short", where=path)
    channels, rate = struct.unpack("<HI", data[2:8])
    if not 1 <= channels <= MAX_CHANNELS:
        raise DataError(f"claims {channels} channels", where=path)
    if not RATES[0] <= rate <= RATES[1]:
        raise DataError(f"claims a sampling rate of {rate} Hz", where=path)

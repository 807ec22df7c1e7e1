"""Spoken words from eSpeak NG, offline and repeatable.

The engine comes with the optional package ``espeakng-loader`` (``pip install 'limbeck[digits]'``). eSpeak NG is free
software under the GPL-3; Limbeck does not contain it and runs it only in a process of its own.

It repeats itself to the bit only in a fresh process, with a seeded generator and a fixed order of utterances, so a
whole list is spoken by one child process: about half a millisecond an utterance.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.errors import DataError, MissingDependencyError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["ACCENTS", "VARIANTS", "Utterance", "speak"]

ACCENTS = ("en", "en-us", "en-029", "en-gb-scotland", "en-gb-x-rp")
VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "f5")
"""Voice qualities, male and female; ``accent+variant`` is a voice."""

SYNCHRONOUS, NO_EXIT, UTF8 = 0x0002, 0x8000, 0x0001
RATE, PITCH, RANGE = 1, 3, 4
PAUSE = 600
"""Seconds after which a silent engine counts as hanging."""


@dataclass(frozen=True)
class Utterance:
    """One thing to say.

    Args:
        text: the words.
        voice: ``accent+variant``, for instance ``en-us+f3``.
        rate: words a minute, 80 to 450.
        pitch: 0 to 100, 50 is the voice's own.
        range: how much the pitch moves, 0 (monotone) to 100.
    """

    text: str
    voice: str = "en-us+m1"
    rate: int = 160
    pitch: int = 50
    range: int = 50


def speak(utterances: Sequence[Utterance]) -> tuple[list[np.ndarray], int]:
    """Say a list of utterances in one fresh process.

    Returns:
        One (samples,) int16 array each, and the sampling rate in hertz (22,050).

    Raises:
        MissingDependencyError: if the engine is not installed.
        DataError: if it refuses a voice or a setting, says nothing, or dies.
    """
    import importlib.util

    import numpy as np

    if importlib.util.find_spec("espeakng_loader") is None:
        raise MissingDependencyError(
            "spoken digits need the speech engine eSpeak NG (GPL-3), which is not installed",
            hint="pip install 'limbeck[digits]'",
        )
    job = json.dumps([astuple(utterance) for utterance in utterances]).encode()
    # The child finds Limbeck and the engine where this process found them, installed or not.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-c", "from limbeck.data.speech import _child; _child()"]
    try:
        done = subprocess.run(command, input=job, capture_output=True, env=environment, timeout=PAUSE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataError(f"the speech engine did not run: {error}") from error
    head, _, body = done.stdout.partition(b"\n")
    if done.returncode:
        told = done.stderr.decode(errors="replace").strip().splitlines()
        raise DataError(f"the speech engine failed: {told[-1] if told else f'exit {done.returncode}'}")
    answer = json.loads(head)
    samples = np.frombuffer(body, dtype="<i2")
    return np.split(samples, np.cumsum(answer["lengths"])[:-1]), int(answer["rate"])


def _child() -> None:
    """The child's whole life: a job on stdin, one line of JSON and the samples on stdout."""
    job = [Utterance(*fields) for fields in json.loads(sys.stdin.buffer.read())]
    try:
        rate, spoken = _say_all(job)
    except (RuntimeError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
    head = {"rate": rate, "lengths": [len(samples) // 2 for samples in spoken]}
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n" + b"".join(spoken))


def _say_all(job: Sequence[Utterance]) -> tuple[int, list[bytes]]:
    import espeakng_loader

    engine = ctypes.CDLL(espeakng_loader.get_library_path())
    callback_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    heard: list[bytes] = []

    def hear(samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            heard.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = callback_type(hear)  # kept alive by this frame: the engine holds only its address
    path = os.fsencode(espeakng_loader.get_data_path())
    rate = engine.espeak_Initialize(SYNCHRONOUS, 0, path, NO_EXIT)
    if rate <= 0:
        raise RuntimeError(f"eSpeak NG did not start (code {rate})")
    qualities = Path(espeakng_loader.get_data_path()) / "voices" / "!v"
    engine.espeak_SetSynthCallback(callback)
    # Without this the engine's noise is seeded by the clock.
    _check(engine.espeak_ng_SetRandSeed(ctypes.c_long(1)), "seed")
    spoken = []
    for utterance in job:
        heard.clear()
        _, plus, quality = utterance.voice.partition("+")
        if plus and not (qualities / quality).is_file():  # the engine would go on without it and report success
            raise RuntimeError(f"eSpeak NG has no voice quality {quality!r}, asked for in voice {utterance.voice!r}")
        _say(engine, utterance)
        if not any(map(any, heard)):
            raise RuntimeError(f"eSpeak NG said nothing for {utterance}")
        spoken.append(b"".join(heard))
    engine.espeak_Terminate()
    return rate, spoken


def _say(engine: ctypes.CDLL, utterance: Utterance) -> None:
    # An unknown voice leaves the last one in place, so every code is looked at.
    _check(engine.espeak_SetVoiceByName(utterance.voice.encode()), f"voice {utterance.voice!r}")
    for parameter, value in ((RATE, utterance.rate), (PITCH, utterance.pitch), (RANGE, utterance.range)):
        _check(engine.espeak_SetParameter(parameter, value, 0), f"parameter {parameter} = {value}")
    text = utterance.text.encode()
    code = engine.espeak_Synth(ctypes.c_char_p(text), ctypes.c_size_t(len(text) + 1), 0, 0, 0, UTF8, None, None)
    _check(code, f"text {utterance.text!r}")
    _check(engine.espeak_Synchronize(), "end of speech")


def _check(code: int, what: str) -> None:
    if code != 0:
        raise RuntimeError(f"eSpeak NG refused {what} (code {code})")

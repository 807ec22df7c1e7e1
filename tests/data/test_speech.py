"""The speech engine: repeatable, checked, and told plainly when it is not there."""

from __future__ import annotations

import importlib.util
import subprocess

import numpy as np
import pytest

from limbeck.data.speech import ACCENTS, VARIANTS, Utterance, speak
from limbeck.errors import DataError, MissingDependencyError

needs_engine = pytest.mark.skipif(importlib.util.find_spec("espeakng_loader") is None, reason="no speech engine")


@needs_engine
def test_every_voice_speaks_and_no_two_sound_alike():
    spoken, rate = speak([Utterance("seven", f"{a}+{v}") for a in ACCENTS for v in VARIANTS])
    assert rate == 22_050
    assert all(0.2 < len(s) / rate < 1.5 and np.abs(s).max() > 3000 for s in spoken)
    assert len({s.tobytes() for s in spoken}) == len(ACCENTS) * len(VARIANTS)


@needs_engine
def test_the_same_list_sounds_the_same_to_the_bit():
    script = [Utterance("six"), Utterance("three", "en+f2", rate=200, pitch=70, range=20), Utterance("six")]
    first, second = speak(script)[0], speak(script)[0]
    assert [len(s) for s in first] == [len(s) for s in second]
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@needs_engine
def test_rate_pitch_and_words_are_heard():
    (slow, fast), rate = speak([Utterance("seven", rate=100), Utterance("seven", rate=250)])
    assert len(slow) > 1.5 * len(fast)

    def hum(samples):  # hertz: the period at which the sound is most like itself
        power = np.abs(np.fft.rfft(samples.astype(float), 1 << 16)) ** 2
        likeness = np.fft.irfft(power)
        shortest, longest = rate // 400, rate // 50
        return rate / (shortest + np.argmax(likeness[shortest:longest]))

    (low, high), _ = speak([Utterance("no", pitch=10, range=0), Utterance("no", pitch=90, range=0)])
    assert hum(high) > 1.3 * hum(low)


@needs_engine
@pytest.mark.parametrize("voice", ["en-gb+m1", "nobody", "en-us+f9", "en-us+"])
def test_a_voice_that_does_not_exist_is_named_not_replaced(voice):
    with pytest.raises(DataError, match=r"refused voice|no voice quality"):
        speak([Utterance("one"), Utterance("one", voice)])


@needs_engine
def test_nothing_to_say_is_an_error():
    with pytest.raises(DataError, match="said nothing"):
        speak([Utterance(" ")])


def test_a_missing_engine_says_what_to_install(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None if n == "espeakng_loader" else real(n, *a))
    with pytest.raises(MissingDependencyError, match=r"pip install 'limbeck\[digits\]'"):
        speak([Utterance("one")])


@pytest.mark.skipif(importlib.util.find_spec("espeakng_loader") is None, reason="no speech engine")
def test_an_engine_that_dies_or_hangs_is_told(monkeypatch):
    crashed = subprocess.CompletedProcess([], -11, stdout=b"", stderr=b"")
    monkeypatch.setattr(subprocess, "run", lambda *_a, **_k: crashed)
    with pytest.raises(DataError, match="exit -11"):
        speak([Utterance("one")])

    def hang(*_a, **_k):
        raise subprocess.TimeoutExpired("engine", 1)

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(DataError, match="did not run"):
        speak([Utterance("one")])

"""A short tune of plucked tones, so that the demo has sound whose place in time can be heard."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE = 48000
# Semitones above A3; a pentatonic scale, so that any order of it sounds at ease.
NOTES = (0, 7, 12, 9, 4, 7, 14, 12, 9, 16, 14, 12, 7, 9, 4, 0)
BEAT = 0.5


def melody(seconds: float) -> NDArray[np.float32]:
    """Stereo samples (2, n) at 48 kHz, within -0.5 to 0.5."""
    count = round(seconds * RATE)
    sound = np.zeros((2, count), np.float32)
    for number in range(int(seconds / BEAT)):
        start = round(number * BEAT * RATE)
        time = np.arange(min(count - start, 2 * RATE)) / RATE
        pitch = 220.0 * 2 ** (NOTES[number % len(NOTES)] / 12)
        attack = np.minimum(time / 0.008, 1.0)
        tone = sum(
            np.sin(2 * np.pi * pitch * harmonic * time)
            * np.exp(-time * (2.2 + harmonic))
            / harmonic
            for harmonic in (1, 2, 3)
        )
        lean = 0.5 + 0.2 * np.sin(number)
        for channel, share in enumerate((lean, 1 - lean)):
            sound[channel, start : start + len(time)] += (0.25 * share * attack * tone).astype(
                np.float32
            )
    fade = np.minimum(np.arange(count)[::-1] / (0.25 * RATE), 1.0).astype(np.float32)
    faded: NDArray[np.float32] = np.clip(sound * fade, -0.5, 0.5)
    return faded

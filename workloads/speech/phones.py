"""How each phone of the mini language sounds: one or two stretches of sound with formants, voice and noise.

Formant frequencies are those of an average adult speaker of English (Peterson & Barney 1952; Stevens, Acoustic
Phonetics, 1998), rounded; everything is below 4 kHz, as on a telephone.
"""

from __future__ import annotations

import dataclasses

VOWELS = "aeiou"
CONSONANTS = "mnlrfsxzptkbdg"
PHONES = VOWELS + CONSONANTS
"""Nineteen letters; x is the sound at the start of "ship"."""


@dataclasses.dataclass(frozen=True)
class Sound:
    """A stretch of a phone.

    Attributes:
      seconds: duration at an average rate of speech.
      formants: frequencies of the first three resonances of the vocal tract, in Hz.
      voice: amplitude of what the vocal folds excite, 0 to 1.
      noise: amplitude of turbulence at the constriction, 0 to 1.
      noise_centre, noise_width: its band, in Hz.
    """

    seconds: float
    formants: tuple[float, float, float]
    voice: float = 0.0
    noise: float = 0.0
    noise_centre: float = 2000.0
    noise_width: float = 1500.0


_LIPS = (350.0, 900.0, 2200.0)
_RIDGE = (350.0, 1750.0, 2700.0)
_VELUM = (350.0, 2100.0, 2350.0)


def _stop(formants: tuple[float, float, float], bar: float, burst: float, centre: float, width: float) -> list[Sound]:
    """A closure with or without a voice bar, then a burst."""
    return [
        Sound(0.045, formants, voice=bar),
        Sound(0.025, formants, voice=2 * bar, noise=burst, noise_centre=centre, noise_width=width),
    ]


SOUNDS: dict[str, list[Sound]] = {
    "a": [Sound(0.11, (730.0, 1150.0, 2450.0), voice=1.0)],
    "e": [Sound(0.10, (530.0, 1850.0, 2500.0), voice=0.9)],
    "i": [Sound(0.08, (290.0, 2250.0, 2950.0), voice=0.8)],
    "o": [Sound(0.10, (550.0, 860.0, 2400.0), voice=0.9)],
    "u": [Sound(0.08, (310.0, 800.0, 2250.0), voice=0.8)],
    "m": [Sound(0.07, (260.0, 1000.0, 2150.0), voice=0.35)],
    "n": [Sound(0.07, (260.0, 1550.0, 2600.0), voice=0.35)],
    "l": [Sound(0.06, (360.0, 1150.0, 2800.0), voice=0.5)],
    "r": [Sound(0.06, (400.0, 1250.0, 1650.0), voice=0.5)],
    "f": [Sound(0.08, _LIPS, noise=0.12, noise_centre=1500.0, noise_width=2500.0)],
    "s": [Sound(0.09, _RIDGE, noise=0.4, noise_centre=3700.0, noise_width=500.0)],
    "x": [Sound(0.09, _RIDGE, noise=0.45, noise_centre=2600.0, noise_width=500.0)],
    "z": [Sound(0.07, _RIDGE, voice=0.25, noise=0.25, noise_centre=3600.0, noise_width=500.0)],
    "p": _stop(_LIPS, 0.0, 0.25, 900.0, 900.0),
    "t": _stop(_RIDGE, 0.0, 0.45, 3400.0, 800.0),
    "k": _stop(_VELUM, 0.0, 0.4, 2100.0, 500.0),
    "b": _stop(_LIPS, 0.15, 0.15, 900.0, 900.0),
    "d": _stop(_RIDGE, 0.15, 0.25, 3400.0, 800.0),
    "g": _stop(_VELUM, 0.15, 0.25, 2100.0, 500.0),
}

PAUSE = Sound(0.03, (500.0, 1500.0, 2500.0))
"""Between words, and before and after all of them."""

"""LibriSpeech, which both speech workloads read."""

from workloads.speech.librispeech import FOLDER, SOURCE, check, load_split, prepare, sizes

__all__ = ["FOLDER", "SOURCE", "check", "load_split", "prepare", "sizes"]

"""Reads LibriSpeech (Panayotov et al. 2015) as its makers ship it: trees of flac files with transcripts beside them.

    train-clean-100/<speaker>/<chapter>/<speaker>-<chapter>-<number>.flac
    train-clean-100/<speaker>/<chapter>/<speaker>-<chapter>.trans.txt       a line per utterance: its name, its text

``prepare`` decodes every subset once, into one file of 16-bit samples, because decoding flac in each step would take
longer than the step. As in AlgoPerf, utterances of more than 20 s or 256 characters are left out, and the tokens are
those of a SentencePiece unigram vocabulary of 1,024, learned from train-clean-100 unless ``vocabulary.model`` is there,
each text with the end-of-sentence token behind it.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.spec import Settings
from workloads.cache import new_folder
from workloads.real_data import (
    DataError,
    DataSource,
    Lazy,
    Problem,
    checksum,
    damage,
    file_problems,
    lazily,
    listed,
    log,
    manifest_of,
    saved_array,
    utf8,
)
from workloads.speech.base import FULL_MODEL
from workloads.speech.declared import subsampled
from workloads.speech.front_end import FrontEnd
from workloads.speech.vocabulary import SentencePieces

FOLDER = "LibriSpeech"
SOURCE = DataSource(
    summary="LibriSpeech, 1,000 hours of read English: train-clean-100, train-clean-360, train-other-500, dev-clean, "
    "dev-other, test-clean",
    origin="https://www.openslr.org/12; the archives unpack into a folder LibriSpeech (Panayotov et al. 2015)",
    terms="CC BY 4.0; no registration",
    size="about 60 GB to download and as much on disk, 115 GB more for the decoded audio",
    expected=(
        "{train-clean-100,train-clean-360,train-other-500,dev-clean,dev-other,test-clean}/*/*/*.{flac,trans.txt}",
        "vocabulary.model, optional: a SentencePiece model of 1,024 pieces in place of one that prepare learns",
    ),
)
SUBSETS: Mapping[str, tuple[str, ...]] = {
    "train": ("train-clean-100", "train-clean-360", "train-other-500"),
    "validation": ("dev-clean", "dev-other"),
    "test": ("test-clean",),
}
SAMPLE_RATE = 16_000
MAX_SAMPLES = 20 * SAMPLE_RATE
MAX_CHARACTERS = 256
PIECES = 1_024
_LEARNED_FROM = "train-clean-100"
_LEARNED_CHARACTERS = 10_000_000
_VOCABULARY = "vocabulary.model"
_AGAIN = "get this subset again (https://www.openslr.org/12), and unpack it here"
_PREPARE = "run `timetrial data prepare librispeech_conformer`, which decodes each subset once, for both workloads"
_CHUNK = 64
"""Utterances decoded at a time."""
_CHUNKS_PER_NEWS = 100
_MANIFEST = {"utterances": int, "left_out": int, "bytes": dict, "vocabulary": str}
_FRONT_END = FrontEnd.of(FULL_MODEL)


def check(folder: Path) -> list[Problem]:
    missing = [
        Problem(folder / name, "there is no such folder", "get this subset (https://www.openslr.org/12)")
        for name in _all_subsets()
        if not (folder / name).is_dir() and not _prepared(folder, name).is_dir()
    ]
    if missing:
        return missing
    if problems := file_problems(folder / _VOCABULARY, _PREPARE):
        return problems
    digest = checksum(folder / _VOCABULARY)
    return [problem for name in _all_subsets() for problem in _prepared_problems(folder, name, digest)]


def prepare(folder: Path, pieces: int = PIECES) -> None:
    """Learns the vocabulary where none is given, and decodes the subsets that are not decoded yet."""
    vocabulary = _vocabulary(folder, pieces)
    digest = checksum(folder / _VOCABULARY)
    for name in _all_subsets():
        if not (_prepared(folder, name)).is_dir():
            log.info("decoding %s", folder / name)
            with new_folder(_prepared(folder, name)) as temporary:
                _decode_subset(folder / name, temporary, vocabulary, digest)


def sizes(folder: Path, settings: Settings) -> dict[str, int]:
    SentencePieces.load(folder / _VOCABULARY, settings.model["classes"])
    return {split: sum(_manifest(folder, name)["utterances"] for name in names) for split, names in SUBSETS.items()}


def load_split(folder: Path, split: str, settings: Settings) -> Mapping[str, Lazy]:
    """``inputs`` int16 ``[n, longest]``, ``lengths`` int32 ``[n]`` and ``targets`` int32 ``[n, longest]``; lazy: the
    chosen are padded with 0 to the longest of them."""
    utterances = _Utterances.of(folder, SUBSETS[split])
    return lazily(folder, len(utterances.sources), ("inputs", "lengths", "targets"), utterances.fetch)


@functools.lru_cache(maxsize=2)
def vocabulary_of(folder: Path) -> SentencePieces:
    """The vocabulary that was used, to read decoded tokens."""
    return SentencePieces.load(folder / _VOCABULARY, PIECES)


def _all_subsets() -> list[str]:
    return [name for names in SUBSETS.values() for name in names]


def _prepared(folder: Path, subset: str) -> Path:
    return folder / "prepared" / subset


# ---- utterances as files ----


@dataclasses.dataclass(frozen=True)
class _Utterance:
    """A line of a transcript: the audio's file, what was said, and where it says so."""

    audio: Path
    text: str
    transcript: Path
    line: int


def _utterances(subset: Path) -> Iterator[_Utterance]:
    """All utterances of a subset in the order of their names.

    Raises:
      DataError: a transcript is missing or no UTF-8, a line has no text, or audio and lines do not match.
    """
    if not subset.is_dir():
        raise Problem(subset, "there is no such folder", _AGAIN).error()
    for chapter in filter(Path.is_dir, listed(subset, "*/*")):
        transcript = chapter / f"{chapter.parent.name}-{chapter.name}.trans.txt"
        if not transcript.is_file():
            raise Problem(transcript, "is missing", _AGAIN).error()
        named = set()
        for number, line in enumerate(transcript.read_bytes().splitlines(), 1):
            name, _, text = utf8(line, transcript, _AGAIN, number).strip().partition(" ")
            audio = chapter / f"{name}.flac"
            if not text.strip():
                raise Problem(transcript, f"the utterance {name!r} has no text", _AGAIN, number).error()
            if not audio.is_file():
                raise Problem(transcript, f"there is no {audio.name} beside it", _AGAIN, number).error()
            if audio in named:
                raise Problem(transcript, f"lists the utterance {name!r} a second time", _AGAIN, number).error()
            named.add(audio)
            yield _Utterance(audio, text.strip(), transcript, number)
        if extra := [path for path in listed(chapter, "*.flac") if path not in named]:
            raise Problem(extra[0], f"{transcript.name} has no line for it", _AGAIN).error()


def _samples(utterance: _Utterance) -> np.ndarray | None:
    """int16 ``[samples]``; None where the utterance is too long.

    Raises:
      DataError: the file is damaged, or something else than 16 kHz mono.
    """
    import soundfile

    path = utterance.audio
    path.open("rb").close()  # Says why a file cannot be opened; the library does not.
    with damage(path, "cannot be decoded", _AGAIN, soundfile.SoundFileError), soundfile.SoundFile(path) as file:
        if file.samplerate != SAMPLE_RATE:
            what = f"has {file.samplerate:,} samples per second instead of {SAMPLE_RATE:,}"
            raise Problem(path, what, _AGAIN).error()
        if file.channels != 1:
            raise Problem(path, f"has {file.channels} channels instead of one", _AGAIN).error()
        if file.frames > MAX_SAMPLES:
            return None
        expected, samples = file.frames, file.read(dtype="int16")
    if len(samples) != expected or not expected:
        raise Problem(path, f"is cut short: {len(samples):,} of {expected:,} samples", _AGAIN).error()
    return samples


# ---- the vocabulary ----


def _vocabulary(folder: Path, pieces: int) -> SentencePieces:
    path = folder / _VOCABULARY
    if not path.exists():
        log.info("learning %s from %s", path, _LEARNED_FROM)
        source = folder / _LEARNED_FROM
        SentencePieces.learn(path, _learning_texts(source), pieces, source)
    return SentencePieces.load(path, pieces)


def _learning_texts(subset: Path) -> Iterator[str]:
    left = _LEARNED_CHARACTERS
    for utterance in _utterances(subset):
        left -= len(utterance.text) + 1
        if left < 0:
            return
        yield utterance.text


# ---- utterances as arrays ----


def _decode_subset(subset: Path, place: Path, vocabulary: SentencePieces, digest: str) -> None:
    """Writes ``audio.s16``, the samples of all utterances one after the other, ``targets.npy``, likewise, and
    ``starts.npy`` int64 ``[n + 1, 2]``, where in both of them an utterance begins."""
    targets: list[np.ndarray] = []
    starts = [(0, 0)]
    left_out = 0
    with (place / "audio.s16").open("wb") as file, concurrent.futures.ThreadPoolExecutor(_threads()) as pool:
        for number, chunk in enumerate(_chunks(_utterances(subset)), 1):
            if number % _CHUNKS_PER_NEWS == 0:
                log.info("%s: %d utterances decoded, %d left out", subset.name, len(targets), left_out)
            for utterance, samples in zip(chunk, pool.map(_samples_of_short, chunk), strict=True):
                if samples is None:
                    left_out += 1
                    continue
                ids = _ids(utterance, vocabulary)
                _tell_if_too_short(utterance, len(samples), ids)
                file.write(samples.astype("<i2").tobytes())
                targets.append(ids)
                starts.append((starts[-1][0] + len(samples), starts[-1][1] + len(ids)))
    if not targets:
        raise Problem(subset, "holds no utterance that could be used", _AGAIN).error()
    np.save(place / "targets.npy", np.concatenate(targets))
    np.save(place / "starts.npy", np.array(starts, np.int64))
    manifest = {
        "utterances": len(targets),
        "left_out": left_out,
        "bytes": {name: (place / name).stat().st_size for name in ("audio.s16", "targets.npy", "starts.npy")},
        "vocabulary": digest,
    }
    (place / "manifest.json").write_text(json.dumps(manifest, indent=1))


def _samples_of_short(utterance: _Utterance) -> np.ndarray | None:
    return _samples(utterance) if len(utterance.text) <= MAX_CHARACTERS else None


def _ids(utterance: _Utterance, vocabulary: SentencePieces) -> np.ndarray:
    """int32 token ids; none of them is that of an unknown symbol, which CTC would take for its blank."""
    ids = np.array(vocabulary.encode(utterance.text), np.int32)
    if (ids == 0).any():
        remedy = f"delete {_VOCABULARY}, so that it is learned from the transcripts"
        what = f"{_VOCABULARY} has no pieces for {utterance.text!r}"
        raise Problem(utterance.transcript, what, remedy, utterance.line).error()
    return ids


def _tell_if_too_short(utterance: _Utterance, samples: int, ids: np.ndarray) -> None:
    """CTC needs an output per token, and one more between two that are equal."""
    outputs = subsampled(int(_FRONT_END.frames_of(np.array(samples))))
    needed = len(ids) + int((ids[1:] == ids[:-1]).sum())
    if outputs < needed:
        place = f"{utterance.transcript}:{utterance.line}"
        log.warning("%s: CTC needs %d outputs for this text, and the audio makes %d", place, needed, outputs)


def _chunks(utterances: Iterator[_Utterance]) -> Iterator[list[_Utterance]]:
    chunk: list[_Utterance] = []
    for utterance in utterances:
        chunk.append(utterance)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    yield chunk


def _threads() -> int:
    return min(16, os.cpu_count() or 1)


def _prepared_problems(folder: Path, subset: str, digest: str) -> list[Problem]:
    place = _prepared(folder, subset)
    if not place.is_dir():
        return [Problem(folder / subset, "is not decoded yet", _PREPARE)]
    try:
        manifest = _manifest(folder, subset)
    except DataError as error:
        return [error.problem]
    if manifest["vocabulary"] != digest:
        return [Problem(place, f"was made with another {_VOCABULARY}", _again(place))]
    sizes_in_bytes = manifest["bytes"].items()
    return [p for name, size in sizes_in_bytes for p in file_problems(place / name, _again(place), exactly=size)]


def _manifest(folder: Path, subset: str) -> dict[str, Any]:
    place = _prepared(folder, subset)
    return manifest_of(place / "manifest.json", _MANIFEST, _again(place))


def _again(place: Path) -> str:
    return f"delete {place}, and {_PREPARE}"


@dataclasses.dataclass(frozen=True)
class _Utterances:
    """Utterances of several subsets, one after the other: ``sources`` is the subset of each, ``starts`` and ``ends``
    ``[n, 2]`` where in its ``audio`` and ``targets`` it lies."""

    audio: Sequence[np.ndarray]
    targets: Sequence[np.ndarray]
    sources: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, folder: Path, subsets: Sequence[str]) -> _Utterances:
        places = [_prepared(folder, name) for name in subsets]
        starts = [saved_array(place / "starts.npy", _again(place), axes=2) for place in places]
        return cls(
            audio=[np.memmap(place / "audio.s16", "<i2", "r") for place in places],
            targets=[saved_array(place / "targets.npy", _again(place)) for place in places],
            sources=np.repeat(np.arange(len(places)), [len(s) - 1 for s in starts]),
            starts=np.concatenate([s[:-1] for s in starts]),
            ends=np.concatenate([s[1:] for s in starts]),
        )

    def fetch(self, positions: np.ndarray) -> dict[str, np.ndarray]:
        lengths = self.ends[positions] - self.starts[positions]
        longest_audio, longest_target = lengths.max(axis=0, initial=0)
        inputs = np.zeros((len(positions), longest_audio), np.int16)
        targets = np.zeros((len(positions), longest_target), np.int32)
        for row, position in enumerate(positions):
            source, (audio, target), (audio_end, target_end) = (
                self.sources[position],
                self.starts[position],
                self.ends[position],
            )
            inputs[row, : audio_end - audio] = self.audio[source][audio:audio_end]
            targets[row, : target_end - target] = self.targets[source][target:target_end]
        return {"inputs": inputs, "lengths": lengths[:, 0].astype(np.int32), "targets": targets}

"""Reads FineWeb-Edu (Penedo et al. 2024, arXiv 2406.17557) from its parquet files, through token ids made once.

``prepare`` encodes every document with GPT-2's byte pairs, puts ``<|endoftext|>`` behind it, and appends the ids to one
of two streams per parquet file: every 50th document is for validation. The streams are cut into rows of one id more
than the context length; what is left at the end of a stream is dropped.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

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
    hidden,
    lazily,
    log,
    manifest_of,
    problem_in,
)

SOURCE = DataSource(
    summary="FineWeb-Edu's sample-10BT, 9.7 million web documents as parquet, and GPT-2's vocab.json and merges.txt",
    origin="https://huggingface.co/datasets/HuggingFaceFW/fineweb-edu (sample/10BT/*.parquet) and "
    "https://huggingface.co/openai-community/gpt2 (vocab.json, merges.txt)",
    terms="documents: ODC-By 1.0 and Common Crawl's terms of use; byte pairs: MIT; no registration",
    size="about 29 GB to download, 20 GB more for the token ids",
    expected=("*.parquet, in any folder below", "vocab.json", "merges.txt"),
)
END_OF_TEXT = "<|endoftext|>"
VALIDATION_EVERY = 50
SPLITS = ("train", "validation")
_MANIFEST = "manifest.json"
_DOCUMENTS = 1_000
"""Documents encoded at a time."""
_REMEDY = "download this file again"
_UNPREPARED = "run `timetrial data prepare finewebedu_lm`, which encodes each file once"
_TOKENIZER = ("vocab.json", "merges.txt")


def check(folder: Path) -> list[Problem]:
    problems = [p for name in _TOKENIZER for p in file_problems(folder / name, "download it, see where above")]
    problems = problems or problem_in(functools.partial(_encoder, folder))
    sources = _parquet(folder)
    if not sources:
        problems.append(Problem(folder, "holds no parquet file", f"get {SOURCE.summary}"))
    problems += [problem for path in sources for problem in file_problems(path, _REMEDY)]
    problems += _clashes(folder, sources)
    if not problems:
        digest = _tokenizer_digest(folder)
        problems = [p for path in sources for p in _token_problems(path, _tokens_of(folder, path), digest)]
    return problems


def prepare(folder: Path) -> None:
    """Encodes every parquet file that is not encoded yet, or was encoded from another file or by other byte pairs."""
    sources = _parquet(folder)
    if not sources:
        raise Problem(folder, "holds no parquet file", f"get {SOURCE.summary}").error()
    for problem in _clashes(folder, sources):
        raise problem.error()
    encode = _encoder(folder)
    digest = _tokenizer_digest(folder)
    for source in sources:
        tokens = _tokens_of(folder, source)
        if not _token_problems(source, tokens, digest):
            continue
        if tokens.exists():
            remedy = "delete it, and run `timetrial data prepare finewebedu_lm` again"
            raise Problem(tokens, "was made from another file or is damaged", remedy).error()
        log.info("encoding %s", source)
        with new_folder(tokens) as temporary:
            _write_tokens(source, temporary, encode, digest)


def sizes(folder: Path, settings: Settings) -> dict[str, int]:
    """At most what is expected: there may be more."""
    return {
        split: min(_Rows.of(folder, split, settings.data["length"]).count, settings.splits[split]) for split in SPLITS
    }


def load_split(folder: Path, split: str, settings: Settings) -> Mapping[str, Lazy]:
    """``inputs`` and ``targets`` int32 ``[n, length]``, each row one token further; lazy. There is no test split."""
    rows = _Rows.of(folder, split, settings.data["length"]) if split in SPLITS else _Rows((), np.zeros(1, np.int64), 0)
    limit = settings.model["vocabulary"]
    for manifest in rows.manifests:
        if manifest["vocabulary"] > limit:
            what = f"knows {manifest['vocabulary']:,} tokens, the model {limit:,}"
            raise Problem(folder / _TOKENIZER[0], what, "use GPT-2's").error()
    return lazily(folder, min(rows.count, settings.splits[split]), ("inputs", "targets"), rows.fetch)


@dataclasses.dataclass(frozen=True)
class _Rows:
    """The streams of one split, cut into rows of ``length + 1`` ids, as one long table.

    Attributes:
      starts: position of each stream's first row, and behind the last one the number of all.
    """

    streams: Sequence[np.ndarray]
    starts: np.ndarray
    length: int
    manifests: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def of(cls, folder: Path, split: str, length: int) -> _Rows:
        places = [_tokens_of(folder, source) for source in _parquet(folder)]
        manifests = [_manifest(place) for place in places]
        counts = [manifest["tokens"][split] // (length + 1) for manifest in manifests]
        streams = [
            np.memmap(place / f"{split}.bin", np.uint16, "r") if count else np.empty(0, np.uint16)
            for place, count in zip(places, counts, strict=True)
        ]
        return cls(streams, np.cumsum([0, *counts], dtype=np.int64), length, manifests)

    @property
    def count(self) -> int:
        return int(self.starts[-1])

    def fetch(self, positions: np.ndarray) -> dict[str, np.ndarray]:
        rows = np.empty((len(positions), self.length + 1), np.int32)
        of_stream = np.searchsorted(self.starts, positions, "right") - 1
        for place, (stream, position) in enumerate(zip(of_stream, positions, strict=True)):
            start = int(position - self.starts[stream]) * (self.length + 1)
            rows[place] = self.streams[stream][start : start + self.length + 1]
        return {"inputs": rows[:, :-1], "targets": rows[:, 1:]}


def _parquet(folder: Path) -> list[Path]:
    """The files below a folder, those below links to folders too, each folder once."""
    found, seen = [], set()
    for place, folders, files in os.walk(folder, onerror=_raise, followlinks=True):
        state = Path(place).stat()
        known = (state.st_dev, state.st_ino) in seen
        seen.add((state.st_dev, state.st_ino))
        # Links last: a folder's own path is its name.
        folders[:] = [] if known else sorted((f for f in folders if not hidden(f)), key=lambda f: _link_key(place, f))
        names = [] if known else files
        found += [Path(place, n) for n in names if n.lower().endswith(".parquet") and not hidden(n)]
    return sorted(found)


def _link_key(place: str, name: str) -> tuple[bool, str]:
    return Path(place, name).is_symlink(), name


def _raise(error: OSError) -> NoReturn:
    raise error


def _tokens_of(folder: Path, source: Path) -> Path:
    """Where the ids of a parquet file lie."""
    return folder / "tokens" / "-".join(source.relative_to(folder).with_suffix("").parts)


def _clashes(folder: Path, sources: Sequence[Path]) -> list[Problem]:
    """Files whose ids would lie in one folder, as those of ``a/b.parquet`` and ``a-b.parquet``."""
    owner: dict[Path, Path] = {}
    return [
        Problem(source, f"would share {_tokens_of(folder, source)} with {first}", "rename one of them")
        for source in sources
        if (first := owner.setdefault(_tokens_of(folder, source), source)) != source
    ]


def _tokenizer_digest(folder: Path) -> str:
    return "-".join(checksum(folder / name) for name in _TOKENIZER)


def _token_problems(source: Path, tokens: Path, digest: str) -> list[Problem]:
    if not tokens.exists():
        return [Problem(source, "is not encoded yet", _UNPREPARED)]
    try:
        manifest = _manifest(tokens)
    except DataError as error:
        return [error.problem]
    again = f"delete {tokens}, and {_UNPREPARED}"
    if manifest["bytes"] != source.stat().st_size:
        return [Problem(source, "has changed since it was encoded", again)]
    if manifest["tokenizer"] != digest:
        return [Problem(source, "was encoded by other byte pairs than those of vocab.json and merges.txt", again)]
    whole = ((tokens / f"{split}.bin", 2 * manifest["tokens"][split]) for split in SPLITS)
    return [problem for path, size in whole for problem in file_problems(path, again, at_least=0, exactly=size)]


def _manifest(tokens: Path) -> dict[str, Any]:
    remedy = f"delete {tokens}, and {_UNPREPARED}"
    form = {"bytes": int, "tokenizer": str, "vocabulary": int, "tokens": dict}
    found = manifest_of(tokens / _MANIFEST, form, remedy)
    if not set(SPLITS) <= found["tokens"].keys():
        raise Problem(tokens / _MANIFEST, "lacks the number of tokens of a split", remedy).error()
    return found


def _encoder(folder: Path) -> Any:
    """GPT-2's byte pairs from the user's files.

    Raises:
      DataError: a file is missing or malformed.
    """
    from tokenizers import ByteLevelBPETokenizer

    for name in _TOKENIZER:
        for problem in file_problems(folder / name, "download it again"):
            raise problem.error()
    try:
        # add_prefix_space=False: GPT-2 encodes a text's first word as it stands.
        encoder = ByteLevelBPETokenizer(*(str(folder / name) for name in _TOKENIZER), add_prefix_space=False)
    except Exception as error:  # the library raises plain Exception
        both = " and ".join(_TOKENIZER)
        raise Problem(
            folder / _TOKENIZER[0], f"{both} do not fit together ({error})", "download both"
        ).error() from None
    size = encoder.get_vocab_size()
    if encoder.token_to_id(END_OF_TEXT) is None or size > 2**16:
        what = f"holds {size:,} tokens, with or without {END_OF_TEXT}; GPT-2's has 50,257 with it"
        raise Problem(folder / _TOKENIZER[0], what, "download it again").error()
    return encoder


def _write_tokens(source: Path, into: Path, encoder: Any, digest: str) -> None:
    counts = dict.fromkeys(SPLITS, 0)
    end = encoder.token_to_id(END_OF_TEXT)
    document = 0
    with contextlib.ExitStack() as stack:
        files = {split: stack.enter_context((into / f"{split}.bin").open("wb")) for split in SPLITS}
        for texts in _texts(source):
            for encoded in encoder.encode_batch(texts):
                split = "validation" if document % VALIDATION_EVERY == 0 else "train"
                ids = np.array([*encoded.ids, end], np.uint16)
                files[split].write(ids.tobytes())
                counts[split] += len(ids)
                document += 1
    manifest = {
        "bytes": source.stat().st_size,
        "documents": document,
        "tokens": counts,
        "tokenizer": digest,
        "vocabulary": encoder.get_vocab_size(),
    }
    (into / _MANIFEST).write_text(json.dumps(manifest, indent=1))


def _texts(source: Path) -> Iterator[list[str]]:
    """Documents of a parquet file, some at a time.

    Raises:
      DataError: the file is cut short, is no parquet, or has no text.
    """
    import pyarrow
    from pyarrow import parquet

    with damage(source, "not a whole parquet file", _REMEDY, pyarrow.ArrowException):
        file = parquet.ParquetFile(source)
        if "text" not in file.schema_arrow.names:
            raise Problem(source, f"has no column text (it has {', '.join(file.schema_arrow.names)})", _REMEDY).error()
        for batch in file.iter_batches(_DOCUMENTS, columns=["text"]):
            texts = batch.column(0).to_pylist()
            if None in texts:
                raise Problem(source, f"has a document without text (near row {texts.index(None)})", _REMEDY).error()
            if not all(isinstance(text, str) for text in texts):
                kind = file.schema_arrow.field("text").type
                raise Problem(source, f"its column text holds {kind}, not text", _REMEDY).error()
            yield texts

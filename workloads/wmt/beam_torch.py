"""Beam search in torch; ``beam_jax`` finds the same translations."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from workloads.wmt.architecture import END, PAD, length_penalty

Cache = tuple[Tensor, ...]
"""What a step remembers of its beams; every tensor has a leading axis of sentences x beams."""

Step = Callable[[Cache, Tensor, int], tuple[Tensor, Cache]]
"""Of a cache, the last tokens ``[sentences, beams]`` and their position: logits of the next tokens, and the cache."""


def beam_search(step: Step, cache: Cache, sentences: int, beams: int, length: int, exponent: float) -> Tensor:
    """The best translation of every sentence that a beam search meets.

    Of all one-token continuations of the live beams of a sentence the best ``2 * beams`` are looked at: those that end
    compete for the best finished one by log probability / ``length_penalty``; the others' best ``beams`` live on. The
    search stops when no live beam of any sentence can overtake, however long it gets.

    Args:
      step: see ``Step``; the first call gets the token PAD, as the training's shifted targets do.
      cache: for the first call.
      length: tokens of a translation at most, END included.
      exponent: of the length penalty.

    Returns:
      Token ids ``[sentences, length]`` int64, PAD behind END; where nothing ended in time, the best live beam.
    """
    device = cache[0].device
    first = torch.arange(sentences, device=device)[:, None] * beams
    live = torch.full((sentences, beams), -torch.inf, device=device)
    live[:, 0] = 0.0  # All beams are alike at first.
    history = torch.full((sentences, beams, 1), PAD, device=device)
    best = torch.full((sentences,), -torch.inf, device=device)
    chosen = torch.full((sentences, length), PAD, device=device)
    for position in range(length):
        logits, cache = step(cache, history[:, :, -1], position)
        scores = live[:, :, None] + logits.float().log_softmax(-1)
        vocabulary = scores.shape[-1]
        scores, found = scores.flatten(1).topk(min(2 * beams, beams * vocabulary))
        parents, tokens = found // vocabulary, found % vocabulary
        ended = tokens == END

        finished, which = torch.where(ended, scores / length_penalty(position + 1, exponent), -torch.inf).max(
            1, keepdim=True
        )
        candidate = torch.cat((_pick(history, _pick(parents, which)), _pick(tokens, which)[:, :, None]), 2)[:, 0, 1:]
        better = finished[:, 0] > best
        best = torch.where(better, finished[:, 0], best)
        chosen[better] = torch.nn.functional.pad(candidate, (0, length - candidate.shape[1]), value=PAD)[better]

        live, which = torch.where(ended, -torch.inf, scores).topk(beams)
        parents = _pick(parents, which)
        history = torch.cat((_pick(history, parents), _pick(tokens, which)[:, :, None]), 2)
        if bool((best >= live[:, 0] / length_penalty(length, exponent)).all()):
            break
        rows = (first + parents).flatten()
        cache = tuple(tensor.index_select(0, rows) for tensor in cache)
    unfinished = best == -torch.inf
    chosen[unfinished, : history.shape[2] - 1] = history[unfinished, 0, 1:]
    return chosen


def _pick(values: Tensor, which: Tensor) -> Tensor:
    """``[B, n, ...]`` at ``which [B, m]`` -> ``[B, m, ...]``."""
    index = which.reshape(which.shape + (1,) * (values.ndim - 2)).expand(*which.shape, *values.shape[2:])
    return values.gather(1, index)

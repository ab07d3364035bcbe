"""A bidirectional LSTM over padded sequences with one kernel per gate, computed by torch's fused operation.

The kernels of a direction are laid into one stretch of memory, which cuDNN asks for; on CPU oneDNN runs the sequence in
a quarter to a seventh of the time of packed sequences. oneDNN has no second derivatives:
``torch.backends.mkldnn.flags(enabled=False)`` gives an LSTM that has them.
"""

from __future__ import annotations

import torch
from torch import nn

from workloads.layers_torch import Dense
from workloads.librispeech_deepspeech.architecture import DIRECTIONS, INPUT_KERNELS, RECURRENT_KERNELS


class Direction(nn.Module):
    """``[B, T, in] -> [B, T, out]``: all hidden states, from a zero state."""

    def __init__(self, inputs: int, features: int) -> None:
        super().__init__()
        self.features = features
        for name in INPUT_KERNELS:
            self.add_module(name, Dense(inputs, features, bias=False))
        for name in RECURRENT_KERNELS:
            self.add_module(name, Dense(features, features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inward = [self.get_submodule(name).weight for name in INPUT_KERNELS]
        recurrent = [self.get_submodule(name) for name in RECURRENT_KERNELS]
        width = 4 * self.features
        # torch's LSTM has a second bias; as it is not a parameter here, it is zero.
        parts = [*inward, *(gate.weight for gate in recurrent), x.new_zeros(width), *(gate.bias for gate in recurrent)]
        flat = torch.cat([part.flatten() for part in parts])
        kernel, recurrent_kernel, zero, bias = flat.split([width * x.shape[-1], width * self.features, width, width])
        weights = [kernel.view(width, -1), recurrent_kernel.view(width, -1), zero, bias]
        state = x.new_zeros(1, len(x), self.features)
        return torch._VF.lstm(x, (state, state), weights, True, 1, 0.0, torch.is_grad_enabled(), False, True)[0]

    def show(self, x: torch.Tensor, previous: torch.Tensor) -> None:
        """Lets forward hooks of the gates, if there are any, see what each kernel gives."""
        for names, inputs in ((INPUT_KERNELS, x), (RECURRENT_KERNELS, previous)):
            for module in map(self.get_submodule, names):
                if module._forward_hooks:
                    module(inputs)


class BidirectionalLSTM(nn.Module):
    """``[B, T, in] -> [B, T, 2 * features]``: the states from the left, then those from the right, zero in paddings."""

    def __init__(self, inputs: int, features: int) -> None:
        super().__init__()
        for name in DIRECTIONS:
            self.add_module(name, Direction(inputs, features))

    def forward(self, x: torch.Tensor, mask: torch.Tensor, turned: torch.Tensor) -> torch.Tensor:
        """``mask [B, T, 1]`` is 0 where ``x`` is padding, at the end; ``turned`` is :func:`turned_rows`."""
        rightward, leftward = (self.get_submodule(name) for name in DIRECTIONS)
        left = rightward(x) * mask
        right = _turn(leftward(_turn(x, turned)), turned) * mask
        rightward.show(x, nn.functional.pad(left, (0, 0, 1, -1)))
        leftward.show(x, nn.functional.pad(right, (0, 0, -1, 1)))
        return torch.cat([left, right], -1)


def turned_rows(paddings: torch.Tensor) -> torch.Tensor:
    """``[B * T]``: the row that stands in each row's place when every sequence is read from its end to its start.

    Paddings stay where they are, so that turning twice changes nothing.
    """
    batch, length = paddings.shape
    time = torch.arange(length, device=paddings.device)
    unpadded = (paddings == 0).sum(1, keepdim=True)
    turned = torch.where(time < unpadded, unpadded - 1 - time, time)
    return (turned + length * torch.arange(batch, device=paddings.device)[:, None]).flatten()


def _turn(x: torch.Tensor, turned: torch.Tensor) -> torch.Tensor:
    return x.flatten(0, 1).index_select(0, turned).view_as(x)

from __future__ import annotations

from typing import Any

from flax import linen
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import rnn

from benchmarks.plain._speech import DROPOUT, JaxFront, TorchFront, jax_model_of, torch_loss


class TorchModel(nn.Module):
    def __init__(self, workload: Any) -> None:
        super().__init__()
        config = workload.model_config
        width, recurrent, dense = config["width"], config["recurrent"], config["feed_forward"]
        self.front = TorchFront(config)
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(recurrent + dense))
        self.recurrent = nn.ModuleList(
            nn.LSTM(width, width // 2, batch_first=True, bidirectional=True) for _ in range(recurrent)
        )
        self.dense = nn.ModuleList(nn.Linear(width, width) for _ in range(dense))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, config["classes"])

    def forward(self, batch: Any) -> Any:
        x, real = self.front(batch)
        x = F.dropout(x, DROPOUT, self.training)
        mask, lengths = real[..., None], real.sum(1)
        norms = iter(self.norms)

        def normalised(x: Any) -> Any:
            return next(norms)(x.transpose(1, 2)).transpose(1, 2) * mask

        for layer in self.recurrent:
            packed = rnn.pack_padded_sequence(normalised(x), lengths, batch_first=True, enforce_sorted=False)
            x = x + rnn.pad_packed_sequence(layer(packed)[0], batch_first=True, total_length=x.shape[1])[0]
        for layer in self.dense:
            x = x + F.dropout(F.relu(layer(normalised(x))) * mask, DROPOUT, self.training)
        return torch_loss(self.head(self.norm(x)), real, batch)


class JaxModel(linen.Module):
    config: Any

    @linen.compact
    def __call__(self, batch: Any, train: bool) -> Any:
        width = self.config["width"]
        x, real = JaxFront(self.config)(batch, train)
        x = linen.Dropout(DROPOUT, deterministic=not train)(x)
        mask = real[..., None]

        def normalised(x: Any) -> Any:
            return linen.BatchNorm(use_running_average=not train)(x, mask=mask) * mask

        for _ in range(self.config["recurrent"]):
            there, back = (linen.RNN(linen.OptimizedLSTMCell(width // 2)) for _ in range(2))
            x = x + linen.Bidirectional(there, back)(normalised(x), seq_lengths=real.sum(1)) * mask
        for _ in range(self.config["feed_forward"]):
            y = linen.relu(linen.Dense(width)(normalised(x))) * mask
            x = x + linen.Dropout(DROPOUT, deterministic=not train)(y)
        return linen.Dense(self.config["classes"])(linen.LayerNorm()(x)), real


def jax_model(workload: Any) -> Any:
    return jax_model_of(JaxModel(workload.model_config))

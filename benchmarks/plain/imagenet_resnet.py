from benchmarks.plain._resnet import TorchModel, jax_model

__all__ = ["TorchModel", "jax_model"]

"""ImageNet's folders, shared with the other workloads on them."""

from workloads.imagenet_archives import prepare
from workloads.imagenet_folders import FOLDER, SOURCE, check, load_split, sizes

__all__ = ["FOLDER", "SOURCE", "check", "load_split", "prepare", "sizes"]

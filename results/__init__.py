"""The format on disk: writing and reading trial folders."""

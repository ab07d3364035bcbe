"""A decoder-only transformer language model."""

"""Molecules and a graph network."""

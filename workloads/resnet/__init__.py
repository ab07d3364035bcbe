"""Residual networks: one model code for the workloads that train them."""

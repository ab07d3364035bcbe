"""Times to scores to verdicts. Reads results; knows nothing of torch or jax."""

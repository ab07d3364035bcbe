"""What is trained: one folder per workload, found by name."""

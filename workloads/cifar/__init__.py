"""Small pictures of ten classes and a residual network of 18 layers; AlgoPerf's second development workload."""

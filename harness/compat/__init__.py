"""AlgoPerf entries as they are: what an entry written for AlgoPerf finds here, while it is loaded and run.

Reading (in any process, no framework imported, nothing executed):

- :mod:`~harness.compat.layout` finds an entry's files under all the names by which they import each other;
- :mod:`~harness.compat.sources` parses them;
- :mod:`~harness.compat.conventions` tells how the entry is written (device axis or not, cuda literals, ...);
- :mod:`~harness.compat.dependencies` names packages that are missing, with the pip command.

Running (in the trial's process, between ``activate`` and ``close``):

- :mod:`~harness.compat.environment` puts everything in place and takes it away again;
- :mod:`~harness.compat.importing` answers imports: ``algoperf``, the entry's own files, empty packages;
- :mod:`~harness.compat.rewriting` turns literals that mean eight GPUs into this machine's one device;
- :mod:`~harness.compat.removed_names` brings back names that newer libraries have dropped;
- :mod:`~harness.compat.one_process` lets code written for distributed torch run on one process;
- :mod:`~harness.compat.backends` gives parameters and batches the layout that the entry expects;
- :mod:`~harness.compat.algoperf` is what ``import algoperf`` means.
"""

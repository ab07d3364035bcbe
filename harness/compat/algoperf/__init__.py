"""What ``import algoperf`` (or ``algorithmic_efficiency``) means to an entry: the part of AlgoPerf that entries use.

Each module here stands for AlgoPerf's of the same name; names, arguments and results are AlgoPerf's, the code is not.
None imports tensorflow, and a framework is imported only by the modules that are about it.
"""

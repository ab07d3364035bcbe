"""A null that is hard: two algorithms that are equally good on average, but not on any one data set.

Both see the same classes, each through ten features of its own whose class means are identical (two *views*), so that
the data set decides by chance which of them does better on it. Running one algorithm twice with other seeds has no such
interaction, and lets tests pass which fail here.
"""

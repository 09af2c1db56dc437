"""The dialects in plain NumPy, written from their formulas: what `cnnx.compat` is held to.

Nothing here knows cnnx, and nothing is clever: loops and products where the old programs have
them. `bench/bench_dialects.py` times these against `cnnx.compat`.
"""

"""The dialects in plain NumPy, written from their formulas, as expected values for `cnnx.compat`.

This code does not use cnnx and is not optimised: it has loops and products where the old programs
have them. `bench/bench_dialects.py` compares their speed with `cnnx.compat`.
"""

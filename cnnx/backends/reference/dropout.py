"""Dropout with a mask that is recomputed, not stored.

# Design:
# The mask depends on (seed, call, index of the element) only, through a counter-based hash.
# Backward therefore recomputes it and nothing is stored, any number of threads gives the same mask,
# and both backends agree to the last bit.

Source: Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting (2014).
The hash is the finaliser of MurmurHash3 (A. Appleby), twice; the key comes from SplitMix64 (Steele,
Lea, Flood, 2014).
"""

from __future__ import annotations

import numpy as np

_WORD = 1 << 64
_GOLDEN = 0x9E3779B97F4A7C15


def dropout(x, p, seed, call):
    """Set a fraction p of the elements to zero and scale the rest, which keeps the expected value.

    y[i] = x[i] / (1 - p) where hash(seed, call, i) >= p * 2^32, else 0

    x (any shape); i counts its elements in C order; seed and call are integers from 0 to 2^63 - 1.
    """
    scale = x.dtype.type(1 / (1 - p) if p < 1 else 0)
    return np.where(kept(x.shape, p, seed, call), x * scale, x.dtype.type(0))


def dropout_backward(dy, p, seed, call):
    """dx[i] = dy[i] / (1 - p) where x[i] was kept, else 0: the same function as forward."""
    return dropout(dy, p, seed, call)


def kept(shape, p, seed, call):
    """The mask: True for elements that are kept."""
    size = int(np.prod(shape, dtype=np.int64))
    mask = np.empty(size, dtype=bool)
    for start in range(0, size, 1 << 32):
        low, high = key(seed, call, block=start >> 32)
        i = np.arange(min(size - start, 1 << 32), dtype=np.uint32)
        hashed = _fmix32(_fmix32(i ^ low) + high)
        mask[start : start + i.size] = hashed >= int(p * 2**32) if p < 1 else False
    return mask.reshape(shape)


def key(seed, call, block):
    """Two 32-bit keys for 2^32 consecutive elements."""
    k = _splitmix64((_splitmix64(seed) + call + _GOLDEN * block) % _WORD)
    return np.uint32(k & 0xFFFFFFFF), np.uint32(k >> 32)


def _splitmix64(z):
    z = (z + _GOLDEN) % _WORD
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % _WORD
    z = (z ^ z >> 27) * 0x94D049BB133111EB % _WORD
    return z ^ z >> 31


def _fmix32(h):
    h = (h ^ h >> np.uint32(16)) * np.uint32(0x85EBCA6B)
    h = (h ^ h >> np.uint32(13)) * np.uint32(0xC2B2AE35)
    return h ^ h >> np.uint32(16)

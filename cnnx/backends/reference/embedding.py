"""Rows of a matrix by their numbers. indices (n,) int64, within the matrix."""

from __future__ import annotations

import numpy as np


def embedding(indices, weight):
    """y[i] = weight[indices[i]]; weight (rows, d)  ->  y (n, d)"""
    return weight[indices]


def embedding_backward(dy, indices, num_embeddings, padding_idx):
    """dweight[r] = sum of dy[i] over the i with indices[i] = r, in order; 0 for r = padding_idx.

    dy (n, d)  ->  dweight (num_embeddings, d)
    """
    dweight = np.zeros((num_embeddings, dy.shape[1]), dy.dtype)
    np.add.at(dweight, indices, dy)
    if padding_idx is not None:
        dweight[padding_idx] = 0
    return dweight

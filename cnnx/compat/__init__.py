"""Drop-in modules for programs in five dialects of "a CNN from scratch in NumPy".

A dialect is an API style that many such programs share. A program changes its import lines only;
names, argument names and order, the attributes that scripts read, defaults, initialisation from
`np.random` in the same order, float64, and the update rules stay the same.
`docs/from_<dialect>.md` shows a program in each dialect, and lists the differences.

listnet      a network is a list of layers, one sample at a time, backward updates the weights
functional   functions that return caches, and a model that updates itself
network      layers that store their gradients, and optimisers that visit them
sequential   a model that owns its loss and its optimiser
cs231n       the layers of the course, one forward and one backward function each, and its Solver

>>> from cnnx.compat.listnet import Dense, Tanh, mse, mse_prime, train

No other part of cnnx imports this package, and neither does `import cnnx`.
"""

# Design:
# Each dialect is a separate module that imports no other: their classes share names with different
# meanings. An adapter stores values, names attributes and updates weights as its dialect does, and
# calls `cnnx.ops` for the computation; if the call overhead exceeds the work (a network of ten
# numbers), it uses the same expression in NumPy. Shared code is in `_arrays.py`.
# Random numbers are drawn from np.random's global state on purpose: the old programs seed it.

"""Drop-in modules for five dialects of "a CNN from scratch in NumPy", on cnnx's kernels.

A program keeps everything but its import lines: names, argument names and order, the attributes
that scripts read, defaults, initialisation from `np.random` in the same order, float64, and the
update rules. `docs/from_<dialect>.md` shows an old program of each, and what was not kept.

listnet      a network is a list of layers, one sample at a time, backward updates
functional   functions with caches, and a model that updates itself
network      layers that keep their gradients, and optimisers that visit them
sequential   a model that owns its loss and its optimiser
cs231n       a course's layers, a function forward and one backward each, and its Solver

>>> from cnnx.compat.listnet import Dense, Tanh, mse, mse_prime, train

Nothing else of cnnx imports this package, and `import cnnx` leaves it alone.
"""

# Design:
# Each dialect is a module of its own, and imports no other: their classes share names and mean
# different things. An adapter remembers, names and updates as its dialect does, and leaves
# computing to `cnnx.ops`; where a call's overhead is more than the work (a network of ten numbers)
# it is the same expression in NumPy. What they share is `_arrays.py`.
# np.random's global state is drawn from on purpose: the old programs seed it.

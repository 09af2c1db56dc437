"""Programs to read and to run, each a page long and done within a minute.

``python -m cnnx.examples.xor``            four points that no straight line separates
``python -m cnnx.examples.spiral``         an MLP beside its twin in PyTorch, loss by loss
``python -m cnnx.examples.mnist_mlp``      digits without a convolution, the loop written out
``python -m cnnx.examples.mnist_conv``     0 against 1 with a single convolution
``python -m cnnx.examples.fashion_mnist``  a whole CNN on pictures of clothes
``python -m cnnx.examples.cs231n_convnet`` a course's network on CIFAR-10, by `cnnx.compat.cs231n`

All take ``--epochs`` and ``--data``, and ``--help`` says what the data are.

>>> from cnnx.examples import xor
>>> accuracy = xor.main(["--epochs", "200"])  # prints as the command does
"""

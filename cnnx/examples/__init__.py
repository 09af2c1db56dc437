"""Example programs, each one page long; each finishes within a minute.

``python -m cnnx.examples.xor``            four points that no straight line separates
``python -m cnnx.examples.spiral``         an MLP compared with the same MLP in PyTorch
``python -m cnnx.examples.mnist_mlp``      an MLP on MNIST, with an explicit training loop
``python -m cnnx.examples.mnist_conv``     0 against 1 with a single convolution
``python -m cnnx.examples.fashion_mnist``  a CNN on images of clothing
``python -m cnnx.examples.cs231n_convnet`` the CNN of CS231n on CIFAR-10, by `cnnx.compat.cs231n`
``python -m cnnx.examples.segmentation``   a U-Net on images of shapes, a class for every pixel
``python -m cnnx.examples.fine_tuning``    digits 5 to 9 from five images each, after 0 to 4
``python -m cnnx.examples.read_text``      the text of a page, by three networks from ONNX files

All but the last accept ``--epochs`` and ``--data``; ``--help`` describes the data.

>>> from cnnx.examples import xor
>>> accuracy = xor.main(["--epochs", "200"])  # prints as the command does
"""

import numpy as np
from activation import Activation
from activations import Sigmoid, Softmax, Tanh
from convolutional import Convolutional
from dense import Dense
from layer import Layer
from losses import binary_cross_entropy, binary_cross_entropy_prime, mse, mse_prime
from network import predict, train
from reshape import Reshape


class Shift(Layer):
    def __init__(self):
        super().__init__()
        self.shift = np.zeros((1, 1))

    def forward(self, input):
        self.input = input
        self.output = input + self.shift
        return self.output

    def backward(self, output_gradient, learning_rate):
        self.shift -= learning_rate * output_gradient.sum()
        return output_gradient


np.random.seed(0)
x, y = np.random.rand(8, 1, 6, 6), np.eye(2)[[0, 1] * 4].reshape(8, 2, 1)
x[1::2] += 0.5
network = [
    Convolutional((1, 6, 6), 3, 2),
    Sigmoid(),
    Reshape((2, 4, 4), (32, 1)),
    Dense(32, 4),
    Activation(np.sin, np.cos),
    Shift(),
    Dense(4, 2),
    Sigmoid(),
]
before = np.mean([binary_cross_entropy(t, predict(network, i)) for i, t in zip(x, y)])
train(network, binary_cross_entropy, binary_cross_entropy_prime, x, y, epochs=80, learning_rate=0.1)
after = np.mean([binary_cross_entropy(t, predict(network, i)) for i, t in zip(x, y)])

xor = np.reshape([[0, 0], [0, 1], [1, 0], [1, 1]], (4, 2, 1))
answers = np.reshape([0, 1, 1, 0], (4, 1, 1))
solver = [Dense(2, 3), Tanh(), Dense(3, 1), Tanh()]
train(solver, mse, mse_prime, xor, answers, epochs=500, learning_rate=0.1, verbose=False)
shares = Softmax().forward(np.array([[1.0], [2.0]]))
ok = after < before and mse(answers[1], predict(solver, xor[1])) < 0.3 and np.isclose(shares.sum(), 1)

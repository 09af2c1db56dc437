import numpy as np
from layers import Dense, Flatten, MaxPool, ReLU, SoftmaxLoss, col2im, conv_backward, conv_forward, im2col
from model import SimpleCNN

np.random.seed(0)
X, y = np.random.rand(4, 1, 28, 28), np.array([3, 1, 4, 1])
model = SimpleCNN()
losses = []
for _ in range(5):
    losses.append(model.forward(X, y))
    model.backward()
scores = model.forward(X)

W, b = 0.1 * np.random.randn(2, 1, 3, 3), np.zeros(2)
fc, relu, pool, flatten, loss_fn = Dense(392, 10), ReLU(), MaxPool(), Flatten(), SoftmaxLoss()
own = []
for _ in range(5):
    out, cache = conv_forward(X, W, b, stride=1, padding=1)
    own.append(loss_fn.forward(fc.forward(flatten.forward(pool.forward(relu.forward(out)))), y))
    d = relu.backward(pool.backward(flatten.backward(fc.backward(loss_fn.backward()))))
    dX, dW, db = conv_backward(d, cache)
    W -= 0.01 * dW
    b -= 0.01 * db
cols = im2col(X, 3, 3, 1, 1)
back = col2im(np.ones_like(cols), X.shape, 3, 3, 1, 1)
ok = losses[-1] < losses[0] and own[-1] < own[0] and scores.shape == (4, 10) and back.max() == 9

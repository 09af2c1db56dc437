import numpy as np
from cnn.layers import Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU, Softmax
from cnn.loss import MSE, CrossEntropyLoss, Loss
from cnn.module import Module
from cnn.optim import Adam, Optimizer
from cnn.sequential import Sequential
from cnn.utils import (
    batch_generator,
    epoch_loop,
    generate_spiral_data,
    plot_spiral_data_decision_boundary,
    plot_training_metrics,
    test,
    train_val,
    train_val_test_split,
)


class Half(Module):
    def forward(self, x):
        return x / 2

    def backward(self, dvalues):
        return dvalues / 2


class Absolute(Loss):
    def forward(self, y_pred, y_true):
        return np.abs(y_pred - y_true)


np.random.seed(0)
X, y = generate_spiral_data(40, 2, 3)
X_train, X_val, X_test, y_train, y_val, y_test = train_val_test_split(X, y)
layers = [Linear(2, 32), ReLU(), Half(), Linear(32, 3), Softmax()]
spiral = Sequential(layers, CrossEntropyLoss(), Adam(lr=0.02, decay=1e-4))
metrics = train_val(spiral, X_train, y_train, X_val, y_val, epochs=60, verbose_freq=20)
plot_training_metrics(*metrics, title="Spiral", xticks=[1, 30, 60])
plot_spiral_data_decision_boundary(spiral, title="Spiral")
loss, accuracy = test(spiral, X_test, y_test)

images, labels = np.random.rand(24, 1, 8, 8), np.array([0, 1] * 12)
images[1::2] += 0.5
convolutions = [Conv2d(1, 4), ReLU(), MaxPool2d(), Conv2d(4, 4), Flatten(), Dropout(0.2)]
cnn = Sequential([*convolutions, Linear(64, 2), Softmax()], CrossEntropyLoss(), Adam(lr=0.01))
first, _ = epoch_loop(cnn, images, labels)
for _ in range(5):
    last, _ = epoch_loop(cnn, images, labels, train=True, batch_size=8)

line = Sequential([Linear(1, 1)], MSE(), Optimizer(lr=0.1))
x = np.linspace(-1, 1, 20)[:, None]
for _ in range(60):
    for features, target in batch_generator(x, 3 * x, 5):
        line.zero_grad()
        fit = line.forward(features)
        line.backward(fit, target)
        line.optimize()
ok = accuracy > 0.6 and last < first and line.calculate_loss(line(x), 3 * x) < 1e-3
ok = ok and Absolute().calculate(line(x), 3 * x) < 0.1

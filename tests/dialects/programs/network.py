from core.activations import *
from core.data_generator import *
from core.layers import *
from core.loss import *
from core.network import *
from core.optimizers import *
from core.utils import *


class Gain(Layer):
    def __init__(self):
        self.gain, self.gain_grad = np.ones(1), np.zeros(1)

    def forward(self, x):
        self.x = x
        return self.gain * x

    def backward(self, grad_output):
        self.gain_grad += (grad_output * self.x).sum()
        return grad_output * self.gain

    def update_params(self, optimizer):
        optimizer.update(self.gain, self.gain_grad)

    def zero_grad(self):
        self.gain_grad = np.zeros(1)


np.random.seed(0)
generators = [Spiral(30, 3, 2), Circle(30, 3, 2), Line(30, 3, 2), Zone(30, 3, 2)]
sets = [generator.generate() for generator in generators]
sets.append(Zone_3D(30, 3, 3, [[0, 0, 0], [9, 0, 0], [0, 9, 0]]).generate())
falling = []
for (P, L), optimizer in zip(
    sets, (SGD(0.1), Momentum(0.01), RMSProp(0.01), Adagrad(0.05), Adam(0.01))
):
    model, loss_fn = NeuralNetwork(), SoftmaxCrossEntropyLoss()
    for layer in (Linear(P.shape[1], 16), BatchNorm1D(16), LeakyReLULayer(), Gain()):
        model.add_layer(layer)
    for layer in (Dropout(0.1), Linear(16, 8, init_type="He"), TanhLayer(), Linear(8, 3)):
        model.add_layer(layer)
    losses = []
    for epoch in range(20):
        for X, y in batch_iterator(P, L.astype(int), batch_size=30):
            model.zero_grad()
            losses.append(loss_fn.forward(model.forward(X), y))
            model.backward(clip_gradients(loss_fn.backward(), 1.0))
            model.update_params(optimizer)
            optimizer.zero_step()
    model.eval()
    model.train()
    falling.append(np.mean(losses[-3:]) < np.mean(losses[:3]))

cnn = CNN()
for layer in (Conv2D(1, 2, 3, padding=1), BatchNorm2D(2), ReLULayer(), MaxPool2D(2), Flatten()):
    cnn.add_layer(layer)
for layer in (Linear(32, 4), SigmoidLayer(), Linear(4, 2), SoftmaxLayer()):
    cnn.add_layer(layer)
images, labels = np.random.rand(6, 1, 8, 8), np.array([0, 1] * 3)
p = cnn.forward(images)
cnn.backward(cross_entropy_loss_derivative(p, labels))
entropy = cross_entropy_loss(p, labels)
save_checkpoint(cnn, Adam(), "cnn.npz")
again, adam = load_checkpoint("cnn.npz", model_type="NeuralNetwork")

line = NeuralNetwork()
line.add_layer(Linear(1, 1, bias=True))
polynomial = GeneratePolynomialData(50, [2, 1], 0.1)
points = polynomial.generate()
polynomial.save_to_csv("polynomial_data.csv")
polynomial.get_init_gen()
x, y, sgd = points["x"][:, None] / 10, points["y"][:, None], SGD(0.1)
for _ in range(200):
    line.zero_grad()
    fit = line.forward(x)
    line.backward(mse_loss_derivative(fit, y))
    line.update_params(sgd)
wave = Activation(np.sin, np.cos).forward(x)
slopes = [f(x) for f in (relu_derivative, sigmoid_derivative, tanh_derivative, leaky_relu_derivative)]
curves = [f(x) for f in (relu, sigmoid, tanh, leaky_relu, softmax)]
ok = all(falling) and mse_loss(line.forward(x), y) < 0.1 and np.isfinite(entropy)
ok = ok and np.allclose(again.forward(images).sum(axis=1), 1) and len(slopes) + len(curves) == 9

# %% [markdown]
# # A tour of cnnx
#
# We train a small convolutional network to recognise handwritten digits and inspect every step:
# the input, one training step, what the network has learnt to detect, how confident it is, and
# which digits it confuses. Then we run the same training in plain NumPy and in PyTorch.
#
# This notebook is generated from `docs/tour.py`, which also runs as a program. It takes a few
# seconds and needs cnnx with matplotlib: `pip install 'cnnx[viz]'`.

# %%
import time

import numpy as np

import cnnx
from cnnx import Adam, Conv2D, CrossEntropyLoss, Flatten, Linear, MaxPool2D, ReLU, Sequential, viz

# %% [markdown]
# ## The digits
#
# cnnx includes 1,797 digits written by 13 people. An image has 8 by 8 pixels, from 0 (paper,
# shown as black) to 1 (ink, shown as white). Arrays of images have four axes: (image, channel,
# row, column). These images are grey and therefore have one channel.

# %%
train, test = cnnx.data.load_digits()
print("training images:", train.x.shape, train.x.dtype)
print("test images:", test.x.shape)
print("the first image, in units of 1/16:")
print((16 * train.x[0, 0]).astype(int))

# %%
viz.plot_images(train, count=20, columns=10)

# %% [markdown]
# ## A network
#
# A **convolution** slides a small window over the image and multiplies the pixels in it by its
# weights. Each of its filters produces a new image that is bright where the filter matches.
# **ReLU** replaces negative values with 0. **Max pooling** keeps the largest of each 2 by 2 pixels,
# so the image becomes smaller and small shifts matter less. After two rounds of this, a **linear**
# layer combines the features into ten scores, one for each digit.
#
# We define the network in a function, because we need it again later.


# %%
def network():
    return Sequential(
        Conv2D(1, 8, 3, padding=1),
        ReLU(),
        MaxPool2D(2),
        Conv2D(8, 16, 3, padding=1),
        ReLU(),
        MaxPool2D(2),
        Flatten(),
        Linear(64, 10),
    )


cnnx.manual_seed(0)  # weights are initialised when a layer is created
model = network()
viz.plot_model(model, (1, 8, 8))

# %% [markdown]
# ## One step of training, by hand
#
# Forward: the batch passes through the layers, and a loss measures how wrong the scores are.
# Backward: the gradient of the loss passes through the same layers in reverse order, and each layer
# computes the gradient of its own weights. Then the optimiser takes a small step against the
# gradient. In code:

# %%
loss_fn = CrossEntropyLoss()
optimizer = Adam(model.parameters(), lr=0.01)
x, y = train.x[:32], train.y[:32]

optimizer.zero_grad()
loss = loss_fn(model(x), y)
gradient = loss_fn.backward()
model.backward(gradient)
optimizer.step()

print(f"loss before the step: {loss:.3f}, after it: {loss_fn(model(x), y):.3f}")
print(f"loss of random guessing: log 10 = {np.log(10):.3f}")

# %% [markdown]
# Are these gradients correct? A derivative is a slope, which we can measure: nudge one weight in
# both directions and observe the change of the loss. We use double precision, so that the effect of
# a small nudge is not lost to rounding:

# %%
precise = model.copy().astype(np.float64)
loss_fn(precise(x), y)
precise.backward(loss_fn.backward())
computed = precise[0].weight.grad[0, 0, 1, 1]


def loss_with_nudge(nudge):
    nudged = precise.copy()
    nudged[0].weight.data[0, 0, 1, 1] += nudge
    return loss_fn(nudged(x), y)


measured = (loss_with_nudge(1e-5) - loss_with_nudge(-1e-5)) / 2e-5
print(f"computed by backward: {computed:+.9f}")
print(f"measured by nudging:  {measured:+.9f}")

# %% [markdown]
# ## Training
#
# Training repeats this step for every batch, and all batches for every epoch. `fit` does this and
# measures the accuracy on digits that were not used for training:

# %%
history = cnnx.fit(
    model,
    train,
    validation=test,
    epochs=12,
    batch_size=32,
    optimizer=Adam(model.parameters(), lr=0.005),
    loss=loss_fn,
    seed=0,
    verbose=False,
)
accuracy = cnnx.evaluate(model, test).accuracy
print(f"accuracy on the test digits: {100 * accuracy:.1f} %")

# %%
viz.plot_history(history)

# %% [markdown]
# ## What the filters detect
#
# The filters of the first convolution are small enough to interpret. Red weights respond to ink,
# blue ones to paper: a filter that is red on the left and blue on the right detects the right edge
# of a stroke. These patterns were learnt; before training the weights were random noise.

# %%
viz.plot_filters(model)

# %% [markdown]
# Below is the output of each filter for one digit, after ReLU, in the same order as the filters
# above.

# %%
digit = test[0:1]
viz.plot_feature_maps(model, digit.x)

# %% [markdown]
# Each filter of the second convolution sees all eight of these maps and responds to larger parts of
# the digit (layer 4 is the ReLU after it):

# %%
viz.plot_feature_maps(model, digit.x, layer="4")

# %% [markdown]
# Which pixels does the decision depend on? Backward computes the gradient of the input as well as
# that of the weights. Bright pixels are those that would change the highest score most:

# %%
viz.saliency(model, test.x[:4], classes=test.classes)

# %% [markdown]
# ## How confident it is
#
# Softmax converts the ten scores to probabilities. Most digits are clear; these are the six with
# the lowest confidence. Blue is the correct class, orange a wrong class with the highest
# probability. Would you have recognised them?

# %%
probabilities = cnnx.predict_proba(model, test)
uncertain = np.argsort(probabilities.max(axis=1))[:6]
viz.plot_probabilities(model, test[uncertain], top=3)

# %% [markdown]
# ## Which digits it confuses
#
# The confusion matrix has a row for each true digit and a column for each predicted one. Entries
# off the diagonal are errors.

# %%
viz.plot_confusion_matrix(probabilities, test.y, classes=test.classes)

# %% [markdown]
# ## The same in plain NumPy
#
# Everything above ran on the *compiled* backend: Cython and C, with vector instructions and
# threads. The second backend, *reference*, is plain NumPy, written to be read:
# `cnnx/backends/reference`. One line switches between them. Trained from the same weights on the
# same batches, both give the same losses to within rounding:

# %%
batches = list(cnnx.data.batches(train, 64, shuffle=True, seed=0))[:20]
start_weights = network().state_dict()


def losses_of(backend):
    """Losses of twenty training steps on this backend."""
    model = network()
    model.load_state_dict(start_weights)
    optimizer = Adam(model.parameters(), lr=0.005)
    losses = []
    with cnnx.use_backend(backend):
        for x, y in batches:
            optimizer.zero_grad()
            losses.append(loss_fn(model(x), y))
            model.backward(loss_fn.backward())
            optimizer.step()
    return np.array(losses)


def compare(one, other, names):
    print("step  {:>12}  {:>12}".format(*names))
    for step in (0, 1, 2, 5, 10, 19):
        print(f"{step + 1:4}  {one[step]:12.8f}  {other[step]:12.8f}")
    print(f"largest difference: {abs(one - other).max():.1e}")


losses = {backend: losses_of(backend) for backend in cnnx.available_backends()}
ours = losses[cnnx.get_backend()]
compare(losses["reference"], ours, ("reference", cnnx.get_backend()))

# %% [markdown]
# The speed differs, however. This measures one training step on 32 images of 28 by 28 pixels. (In
# the saved notebook, it ran on one thread.)

# %%
images = np.random.default_rng(0).random((32, 1, 28, 28), np.float32)
labels = np.arange(32) % 10
larger = cnnx.models.mnist_cnn()


def seconds_of_a_step(backend):
    with cnnx.use_backend(backend):
        start = time.perf_counter()
        larger.zero_grad()
        loss_fn(larger(images), labels)
        larger.backward(loss_fn.backward(), need_dx=False)
        return time.perf_counter() - start


# Alternate, and take the best of eight, to reduce the influence of other programs.
rounds = [{backend: seconds_of_a_step(backend) for backend in losses} for _ in range(8)]
best = {backend: min(times[backend] for times in rounds) for backend in losses}
for backend, seconds in best.items():
    print(f"{backend:10} {1000 * seconds:6.1f} ms per step")
print(f"speed-up: {best['reference'] / best[cnnx.get_backend()]:.1f}")

# %% [markdown]
# ## The same in PyTorch
#
# Layers and weights have PyTorch's names and shapes, so weights can be copied without conversion.
# With the same weights and batches, PyTorch should give the same losses. (If PyTorch is not
# installed, the cell prints a note.)

# %%
try:
    import torch
except ImportError:
    torch = None
    print("PyTorch is not installed here, so this comparison is skipped: pip install torch")

if torch is not None:
    twin = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(8, 16, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(64, 10),
    )
    twin.load_state_dict({name: torch.tensor(w) for name, w in start_weights.items()})
    optimizer = torch.optim.Adam(twin.parameters(), lr=0.005)
    theirs = []
    for x, y in batches:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(twin(torch.tensor(x)), torch.tensor(y))
        loss.backward()
        optimizer.step()
        theirs.append(loss.item())
    compare(ours, np.array(theirs), ("cnnx", "PyTorch"))

# %% [markdown]
# ## Next steps
#
# - `cnnx train --data fashion-mnist` trains from the command line and saves these figures.
# - Read `cnnx/backends/reference`: each docstring has a formula, and the code below it computes it.
# - Do you have your own CNN from scratch? It may run after changing its import lines: see the
#   porting guides, `from_*.md` in this directory.
# - Experiment: a third convolution, `Dropout(0.5)` before the last layer, `BatchNorm2D`, another
#   learning rate. Which digits are still misclassified?

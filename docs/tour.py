# %% [markdown]
# # A tour of cnnx
#
# We teach a small convolutional network to read handwritten digits, and look inside at every step:
# what goes in, what one step of training does, what the network has learnt to look for, how sure
# it is, and what it gets wrong. Then we run the same training on plain NumPy, and beside PyTorch.
#
# This notebook is made from `docs/tour.py`, which is an ordinary program too. It takes a few
# seconds, and needs nothing but cnnx with its pictures: `pip install 'cnnx[viz]'`.

# %%
import time

import numpy as np

import cnnx
from cnnx import Adam, Conv2D, CrossEntropyLoss, Flatten, Linear, MaxPool2D, ReLU, Sequential, viz

# %% [markdown]
# ## The digits
#
# 1,797 digits, written by 43 people, come with cnnx. An image is 8 by 8 pixels, from 0 (paper,
# drawn black) to 1 (ink, drawn white). Arrays of images have four axes: (image, channel, row,
# column); these have one channel, since they are grey.

# %%
train, test = cnnx.data.load_digits()
print("to learn from:", train.x.shape, train.x.dtype)
print("to be tested on:", test.x.shape)
print("the first image, in sixteenths:")
print((16 * train.x[0, 0]).astype(int))

# %%
viz.plot_images(train, count=20, columns=10)

# %% [markdown]
# ## A network
#
# A **convolution** slides a small window over the image, and multiplies what it sees with its
# weights: each of its filters makes a new image, bright where the filter fits. **ReLU** cuts off
# what is negative. **Max pooling** keeps the largest of each 2 by 2 pixels, so the image shrinks
# and small shifts matter less. After two rounds of this, a **linear** layer weighs what was found
# into ten scores, one for each digit.
#
# It stands in a function, since we shall want the same network again.


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


cnnx.manual_seed(0)  # weights are drawn when layers are made
model = network()
viz.plot_model(model, (1, 8, 8))

# %% [markdown]
# ## One step of training, by hand
#
# Forward: the batch goes through the layers, and a loss says how wrong the scores are. Backward:
# the gradient of the loss goes through the same layers the other way round, and each notes by how
# much its own weights are to blame. Then the optimiser moves all weights a little downhill. Five
# lines:

# %%
loss_fn = CrossEntropyLoss()
optimizer = Adam(model.parameters(), lr=0.01)
x, y = train.x[:32], train.y[:32]

optimizer.zero_grad()
loss = loss_fn(model(x), y)
gradient = loss_fn.backward()
model.backward(gradient)
optimizer.step()

print(f"loss before the step: {loss:.3f}, and after it: {loss_fn(model(x), y):.3f}")
print(f"loss of a guess that knows nothing: log 10 = {np.log(10):.3f}")

# %% [markdown]
# Should we believe these gradients? A derivative is a slope, and a slope can be measured: nudge
# one weight to either side, and see what becomes of the loss. In double precision, so that a small
# nudge is not lost in rounding:

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
# A training is that step for every batch, and all of it again for every epoch. `fit` does it, and
# measures the accuracy on digits that it has not learnt from:

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
print(f"right on {100 * accuracy:.1f} % of the digits that it has never seen")

# %%
viz.plot_history(history)

# %% [markdown]
# ## What it looks for
#
# The filters of the first convolution are small enough to read. Red weights want ink, blue ones
# want paper: a filter that is red on the left and blue on the right answers where a stroke ends at
# its right side. Nobody has put these patterns there; they were noise before training.

# %%
viz.plot_filters(model)

# %% [markdown]
# And this is what they find in one digit: each filter's answer, after ReLU. Compare with the
# filters above, in the same order.

# %%
digit = test[0:1]
viz.plot_feature_maps(model, digit.x)

# %% [markdown]
# The second convolution (layer 4 is the ReLU behind it) looks at all eight of these maps at once,
# and its answers are about larger pieces of the digit:

# %%
viz.plot_feature_maps(model, digit.x, layer="4")

# %% [markdown]
# Which pixels does the decision hang on? The gradient can be asked for the input as well as for
# the weights. Bright pixels are those that would change the winning score most:

# %%
viz.saliency(model, test.x[:4], classes=test.classes)

# %% [markdown]
# ## How sure it is
#
# Softmax makes probabilities of the ten scores. Most digits are clear cases; these six are those
# that it is least sure of. Blue is the right answer, orange a wrong one that came first. Would you
# have known?

# %%
chances = cnnx.predict_proba(model, test)
unsure = np.argsort(chances.max(axis=1))[:6]
viz.plot_probabilities(model, test[unsure], top=3)

# %% [markdown]
# ## What it takes for what
#
# A row for each digit, a column for each answer. What stands off the diagonal went wrong.

# %%
viz.plot_confusion_matrix(chances, test.y, classes=test.classes)

# %% [markdown]
# ## The same on plain NumPy
#
# Everything above ran on the *compiled* backend: Cython and C, with vector instructions and
# threads. There is a second one, *reference*, which is plain NumPy, written to be read:
# `cnnx/backends/reference`. One line switches between them. Trained from the same weights on the
# same batches, both tell the same story, down to rounding:

# %%
batches = list(cnnx.data.batches(train, 64, shuffle=True, seed=0))[:20]
start_weights = network().state_dict()


def losses_of(backend):
    """The losses of the same twenty steps."""
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
# Not in the same time, though. One training step on 32 images of 28 by 28 pixels; where you read
# this without having run it, it was on one thread of the machine that made the notebook:

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


# In turns, and the best of eight: so that other programs on the machine count as little as can be.
rounds = [{backend: seconds_of_a_step(backend) for backend in losses} for _ in range(8)]
best = {backend: min(times[backend] for times in rounds) for backend in losses}
for backend, seconds in best.items():
    print(f"{backend:10} {1000 * seconds:6.1f} ms a step")
print(f"that is {best['reference'] / best[cnnx.get_backend()]:.1f} times as fast")

# %% [markdown]
# ## The same in PyTorch
#
# Layers and weights have PyTorch's names and shapes, so weights move over as they are. With the
# same weights and the same batches, PyTorch's losses should be ours. (Where PyTorch is not
# installed, the cell says so.)

# %%
try:
    import torch
except ImportError:
    torch = None
    print("PyTorch is not installed here, so there is nothing to compare with: pip install torch")

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
# ## Where to go from here
#
# - `cnnx train --data fashion-mnist` does all of this from the command line, and leaves these
#   pictures in a folder.
# - Read `cnnx/backends/reference`: a formula in each docstring, and NumPy that does what it says.
# - You have a CNN from scratch of your own? It may run with its import lines changed: see the
#   pages `from_*.md` beside this one.
# - Change something: a third convolution, `Dropout(0.5)` before the last layer, `BatchNorm2D`,
#   another learning rate. Which digits still go wrong?

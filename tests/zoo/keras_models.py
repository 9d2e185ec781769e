"""Keras: sequential and functional models, preprocessing layers, embeddings, arrays as inputs.

Keras runs on PyTorch here, which is there already; what is converted does not depend on that.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .case import Answer, Case, Fitted
from .torch_models import CODES, NUMBERS, WIDTH, awkward, columns

if TYPE_CHECKING:
    from collections.abc import Callable

os.environ.setdefault("KERAS_BACKEND", "torch")


def ask(model: Any, rows: Any, *, labels: tuple[Any, ...] = ()) -> Answer:
    """As an author calls it: arrays made by hand, by the names of the inputs."""
    import keras

    def array(name: str) -> np.ndarray:
        if name in ("vector", "history"):
            made = np.stack(list(rows[name]))
        else:
            made = rows[name].to_numpy()[:, None]
        if name in ("plan", "history"):
            if made.dtype.kind != "i":
                raise ValueError("codes are whole numbers")
            if not ((made >= 0) & (made < CODES)).all():
                raise ValueError("no such code")  # PyTorch raises, other backends need not
            return made.astype("int64")
        return made.astype("float32")

    if len(model.inputs) == 1:
        feed: Any = np.concatenate([array(name) for name in rows.columns], axis=1)
    else:
        feed = {tensor.name: array(tensor.name) for tensor in model.inputs}
        feed = list(feed.values())
    found = np.asarray(keras.ops.convert_to_numpy(model(feed, training=False)))
    if not labels:
        return Answer(found[:, 0] if found.shape[1] == 1 else found)
    table = found if found.shape[1] > 1 else np.concatenate([1 - found, found], axis=1)
    return Answer(np.array(labels)[table.argmax(axis=1)], labels, table)


def network(
    make: Callable[[Any], Any], names: list[str], labels: tuple[Any, ...] = ()
) -> Callable[[], Fitted]:
    def fit() -> Fitted:
        import keras

        keras.utils.set_random_seed(0)
        asked = partial(ask, labels=labels)
        return Fitted(make(keras), columns(200, 7)[names], awkward(names), asked, labels or None)

    return fit


def sequential(keras: Any) -> Any:
    """Normalization learns from rows; what acts in training only is there too."""
    from keras import layers

    normalization = layers.Normalization()
    normalization.adapt(columns(100, 3)[NUMBERS].to_numpy("float32"))
    return keras.Sequential(
        [
            keras.Input((2,)), normalization, layers.Dense(8, activation="gelu"),
            layers.Dropout(0.3), layers.LayerNormalization(),
            layers.Dense(6), layers.BatchNormalization(), layers.LeakyReLU(),
            layers.Dense(4, activation="swish"), layers.GaussianNoise(0.1), layers.Dense(1),
        ]
    )  # fmt: skip


def targets(keras: Any) -> Any:
    from keras import layers

    return keras.Sequential(
        [keras.Input((2,)), layers.Rescaling(0.01, offset=-0.2), layers.Dense(5, activation="tanh"),
         layers.Dense(3, activation="softplus")]
    )  # fmt: skip


def softmax(keras: Any) -> Any:
    from keras import layers

    return keras.Sequential(
        [keras.Input((2,)), layers.Rescaling(0.02), layers.Dense(5, activation="relu"),
         layers.Dense(3, activation="softmax")]
    )  # fmt: skip


def functional(keras: Any) -> Any:
    """Inputs by name: a number, a code with an embedding, and one in bins."""
    from keras import layers

    age = keras.Input((1,), name="age")
    plan = keras.Input((1,), name="plan", dtype="int64")
    income = keras.Input((1,), name="income")
    bins = layers.Discretization(bin_boundaries=[5.0, 20.0, 60.0])(income)
    coded = layers.CategoryEncoding(num_tokens=4, output_mode="one_hot")(bins)
    looked = layers.Flatten()(layers.Embedding(CODES, 3)(plan))
    joined = layers.Concatenate()([layers.Rescaling(0.02)(age), coded, looked])
    hidden = layers.Dense(8, activation="elu")(joined)
    skipped = layers.Add()([hidden, layers.Dense(8)(joined)])
    return keras.Model([age, plan, income], layers.Dense(1, activation="sigmoid")(skipped))


def nested(keras: Any) -> Any:
    from keras import layers

    inner = keras.Sequential([keras.Input((WIDTH,)), layers.Dense(4, activation="selu")])
    vector = keras.Input((WIDTH,), name="vector")
    history = keras.Input((4,), name="history", dtype="int64")
    looked = layers.Flatten()(layers.Embedding(CODES, 2)(history))
    joined = layers.Concatenate()([inner(vector), looked])
    return keras.Model([vector, history], layers.Dense(2)(joined))


def convolution(keras: Any) -> Any:
    from keras import layers

    return keras.Sequential(
        [keras.Input((WIDTH,)), layers.Reshape((WIDTH, 1)), layers.Conv1D(2, 3), layers.Flatten(),
         layers.Dense(1)]
    )  # fmt: skip


KERAS: tuple[Case, ...] = (
    Case("keras-sequential", network(sequential, NUMBERS)),
    Case("keras-targets", network(targets, NUMBERS)),
    Case("keras-labels", network(softmax, NUMBERS, ("high", "low", "größte"))),
    Case("keras-functional", network(functional, ["age", "plan", "income"])),
    Case("keras-two-labels", network(functional, ["age", "plan", "income"], (0, 1))),
    Case("keras-nested", network(nested, ["vector", "history"])),
)
KERAS_REFUSED: tuple[Case, ...] = (Case("keras-convolution", network(convolution, ["vector"])),)

"""Keras: sequential and functional models, preprocessing layers, embeddings, arrays as inputs.

Keras runs on PyTorch here, which is there already; what is converted does not depend on that.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .case import Answer, Case, Fitted
from .torch_models import CODES, LENGTHS, NUMBERS, WIDTH, awkward, columns

if TYPE_CHECKING:
    from collections.abc import Callable

os.environ.setdefault("KERAS_BACKEND", "torch")


def ask(model: Any, rows: Any, *, labels: tuple[Any, ...] = (), codes: int = CODES) -> Answer:
    """As an author calls it: arrays made by hand, by the names of the inputs."""
    import keras

    def array(name: str) -> np.ndarray:
        if name in ("vector", "history"):
            made = np.stack(list(rows[name]))
            if made.shape[1] != LENGTHS[name]:  # a recurrent layer takes any length
                raise ValueError("SQL takes arrays of the length that was published")
        else:
            made = rows[name].to_numpy()[:, None]
        if name in ("plan", "history"):
            if made.dtype.kind != "i":
                raise ValueError("codes are whole numbers")
            if not ((made >= 0) & (made < codes)).all():
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
    make: Callable[[Any], Any],
    names: list[str],
    labels: tuple[Any, ...] = (),
    codes: int = CODES,
) -> Callable[[], Fitted]:
    def fit() -> Fitted:
        import keras

        keras.utils.set_random_seed(0)
        asked = partial(ask, labels=labels, codes=codes)
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


def recurrent(keras: Any) -> Any:
    """Over the steps of an array: both ways, and the last one backwards."""
    from keras import layers

    history = keras.Input((4,), name="history", dtype="int64")
    looked = layers.Embedding(CODES, 3)(history)
    both = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(looked)
    last = layers.GRU(4, go_backwards=True)(both)
    pooled = layers.GlobalMaxPooling1D()(both)
    return keras.Model(history, layers.Dense(2)(layers.Concatenate()([last, pooled])))


def attention(keras: Any) -> Any:
    """A transformer's block over the columns of an array, and functions between layers."""
    from keras import layers, ops

    vector = keras.Input((WIDTH,), name="vector")
    steps = layers.Dense(6)(ops.expand_dims(vector, -1))
    mixed = layers.MultiHeadAttention(2, 3, dropout=0.1)(steps, steps)
    normal = layers.LayerNormalization()(steps + mixed)
    flat = layers.Flatten()(layers.Conv1D(3, 2, padding="same", activation="tanh")(normal))
    return keras.Model(vector, layers.Dense(1)(ops.concatenate([flat, vector[:, 1:3] * 2 - 1], 1)))


def masked(keras: Any) -> Any:
    """Zero is no code but a step that is not there."""
    from keras import layers

    history = keras.Input((4,), name="history", dtype="int64")
    looked = layers.Embedding(CODES, 3, mask_zero=True)(history)
    both = layers.Bidirectional(layers.GRU(3, return_sequences=True))(looked)
    last = layers.Concatenate()(
        [layers.LSTM(4)(both), layers.GlobalAveragePooling1D()(looked), layers.Flatten()(both)]
    )
    return keras.Model(history, layers.Dense(1)(last))


def masked_attention(keras: Any) -> Any:
    from keras import layers

    history = keras.Input((4,), name="history", dtype="int64")
    looked = layers.Embedding(CODES, 3, mask_zero=True)(history)
    mixed = layers.MultiHeadAttention(2, 3)(looked, looked)
    return keras.Model(history, layers.Dense(1)(layers.Flatten()(mixed)))


def large_embedding(keras: Any) -> Any:
    """Most of its entries are in no sample."""
    from keras import layers

    plan = keras.Input((1,), name="plan", dtype="int32")
    age = keras.Input((1,), name="age")
    looked = layers.Flatten()(layers.Embedding(100_000, 2)(plan))
    return keras.Model([plan, age], layers.Dense(1)(layers.Concatenate()([looked, age])))


def random_in_prediction(keras: Any) -> Any:
    from keras import layers

    age = keras.Input((2,))
    return keras.Model(age, layers.Dense(1)(layers.Dropout(0.5)(age, training=True)))


def half(keras: Any) -> Any:
    from keras import layers

    return keras.Sequential([keras.Input((2,)), layers.Dense(3, dtype="float16"), layers.Dense(1)])


def subclassed(keras: Any) -> Any:
    class Subclassed(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.last = keras.layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.last(x)

    made = Subclassed()
    made(np.zeros((1, 2), "float32"))
    return made


KERAS: tuple[Case, ...] = (
    Case("keras-sequential", network(sequential, NUMBERS)),
    Case("keras-targets", network(targets, NUMBERS)),
    Case("keras-labels", network(softmax, NUMBERS, ("high", "low", "größte"))),
    Case("keras-functional", network(functional, ["age", "plan", "income"])),
    Case("keras-two-labels", network(functional, ["age", "plan", "income"], (0, 1))),
    Case("keras-nested", network(nested, ["vector", "history"])),
    Case("keras-convolution", network(convolution, ["vector"])),
    Case("keras-recurrent", network(recurrent, ["history"])),
    Case("keras-masked", network(masked, ["history"])),
    Case("keras-attention", network(attention, ["vector"])),
    Case("keras-large-embedding", network(large_embedding, ["plan", "age"], codes=100_000)),
)
KERAS_REFUSED: tuple[Case, ...] = (
    Case("keras-random", network(random_in_prediction, NUMBERS)),
    Case("keras-masked-attention", network(masked_attention, ["history"])),
    Case("keras-half", network(half, NUMBERS)),
    Case("keras-subclassed", network(subclassed, NUMBERS)),
)

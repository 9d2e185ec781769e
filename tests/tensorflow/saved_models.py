"""SavedModels as people write them, for `models.py` to publish, and their answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .models import CODES, LABELS, STEPS, bins, texts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd


def at_path(path: Path, made: Any) -> Any:
    return path


def loaded(path: Path, made: Any) -> Any:
    import tensorflow as tf

    return tf.saved_model.load(str(path))


def signature(path: Path, made: Any) -> Any:
    """One of several; what it is of has to live as long."""
    model = loaded(path, made)
    chosen = model.signatures["double"]
    chosen.of = model
    return chosen


def logged(path: Path, made: Any) -> Any:
    """What `sqlml publish runs:/…` opens, of what people log with MLflow."""
    import mlflow

    from sqlml.publish import open_source

    with mlflow.start_run() as run:
        mlflow.tensorflow.log_model(made, name="model", pip_requirements=["mlflow"])
    return open_source(f"runs:/{run.info.run_id}/model")


@dataclass(frozen=True)
class Saved:
    """A SavedModel: what writes it, and gives what it was made of, and how it is published."""

    write: Callable[[Any, Path], Any]
    names: list[str]
    labels: tuple[str, ...] | None = None
    opened: Callable[[Path, Any], Any] = at_path
    entries: dict[str, int] = field(default_factory=dict)
    """By column, of how many entries it is an index."""


def exported(make: Callable[[Any], Any]) -> Callable[[Any, Path], Any]:
    """As Keras 3 writes it."""

    def write(tf: Any, path: Path) -> None:
        import keras

        make(keras).export(path, verbose=False)

    return write


def saved(make: Callable[[Any], Any]) -> Callable[[Any, Path], Any]:
    """As TensorFlow writes a Keras model."""

    def write(tf: Any, path: Path) -> None:
        import keras

        tf.saved_model.save(make(keras), str(path))

    return write


def perceptron(keras: Any) -> Any:
    """Batch normalisation that has learnt something, and dropout, which is of training only."""
    from keras import layers

    normal = layers.BatchNormalization()
    model = keras.Sequential(
        [keras.Input((2,)), layers.Dense(8, activation="relu"), normal, layers.Dropout(0.5),
         layers.Dense(3, activation="gelu"), layers.Dense(1)]
    )  # fmt: skip
    rng = np.random.default_rng(1)
    normal.set_weights([rng.uniform(0.5, 2, 8) for _ in range(4)])
    return model


def encoded(keras: Any) -> Any:
    """Indices in columns: counted, embedded, and looked up, where nothing is unseen."""
    from keras import layers

    code = keras.Input((1,), name="code", dtype="int64")
    history = keras.Input((STEPS,), name="history", dtype="int64")
    known = layers.IntegerLookup(vocabulary=list(range(-3, 12)), num_oov_indices=0)
    some = layers.CategoryEncoding(CODES, output_mode="count")(history)
    looked = layers.Flatten()(layers.Embedding(15, 3)(known(code)))
    return keras.Model([code, history], layers.Dense(2)(layers.Concatenate()([looked, some])))


def masked(keras: Any) -> Any:
    """A loop that passes over what is zero."""
    from keras import layers

    return keras.Sequential(
        [keras.Input((STEPS,), dtype="int64"), layers.Embedding(CODES, 4, mask_zero=True),
         layers.GRU(3), layers.Dense(3, activation="softmax")]
    )  # fmt: skip


def windows(keras: Any) -> Any:
    """Convolutions over the codes, attention, and two loops, one of which runs backwards."""
    from keras import layers

    codes = keras.Input((STEPS,), dtype="int64")
    x = layers.Embedding(CODES, 4)(codes)
    x = layers.Conv1D(6, 3, padding="causal", dilation_rate=2, activation="tanh")(x)
    x = layers.SeparableConv1D(4, 3, padding="same")(layers.MaxPooling1D(2)(x))
    x = layers.MultiHeadAttention(2, 3)(x, x)
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(layers.LayerNormalization()(x))
    return keras.Model(codes, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))


def module(tf: Any, path: Path) -> None:
    """No Keras: columns by name, in double, and a second signature."""
    numbers = tf.TensorSpec([None], tf.float64)

    class Trend(tf.Module):
        def __init__(self) -> None:
            self.rate = tf.Variable([[0.3], [-1.25]], dtype=tf.float64)

        @tf.function(input_signature=[numbers, tf.TensorSpec([None], tf.int64)])
        def __call__(self, age: Any, code: Any) -> Any:
            both = tf.stack([tf.math.log1p(tf.abs(age)), tf.cast(code, tf.float64) / 7], axis=1)
            return tf.squeeze(tf.matmul(both, self.rate), axis=1)

        @tf.function(input_signature=[numbers])
        def double(self, age: Any) -> Any:
            return {"twice": tf.where(age > 40, age * 2, -age)}

    made = Trend()
    signatures = {"trend": made.__call__, "double": made.double}
    tf.saved_model.save(made, str(path), signatures=signatures)


def one_module(tf: Any, path: Path) -> Any:
    """What its author did with the numbers is in the graph."""

    class Share(tf.Module):
        def __init__(self) -> None:
            self.weights = tf.Variable(
                np.random.default_rng(3).normal(size=(2, 3)), dtype="float32"
            )

        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32)])
        def __call__(self, rows: Any) -> Any:
            scaled = (rows - [3.0, 50.0]) / [8.0, 20.0]
            logits = tf.nn.l2_normalize(scaled, axis=1) @ self.weights
            for _ in tf.range(2):
                logits = logits + tf.reduce_max(logits, axis=1, keepdims=True)
            return {"share": tf.nn.softmax(logits)}

    made = Share()
    tf.saved_model.save(made, str(path))
    return made


def older(tf: Any, path: Path) -> None:
    """As Keras 2 wrote layers: places as floating numbers, their range asserted, a row normalised
    by itself, in training, as a channel of an image."""

    class Older(tf.Module):
        def __init__(self) -> None:
            rng = np.random.default_rng(2)
            self.table = tf.Variable(rng.normal(size=(CODES, 3)), dtype="float32")

        @tf.function(input_signature=[tf.TensorSpec([None, STEPS], tf.float32)])
        def __call__(self, history: Any) -> Any:
            places = tf.cast(history, tf.int32)
            low, high = tf.reduce_min(places), tf.reduce_max(places)
            inside = tf.logical_and(tf.greater(CODES, high), tf.greater_equal(low, 0))
            with tf.control_dependencies([tf.raw_ops.Assert(condition=inside, data=[low])]):
                looked = tf.nn.embedding_lookup(self.table, places)
            rows, width = tf.shape(looked)[0], 3 * STEPS
            normal, *_ = tf.compat.v1.nn.fused_batch_norm(
                tf.reshape(looked, [1, rows, width, 1]), tf.ones([rows]), tf.zeros([rows]),
                data_format="NCHW", is_training=True,
            )  # fmt: skip
            return tf.reshape(normal, [-1, width])[:, :4] * [0.5, 1.0, 2.0, 3.0]

    tf.saved_model.save(Older(), str(path))


def of_function(body: Callable[[Any, Any], Any], kind: str = "float32", rows: int | None = None):
    """A tf.Module of one function of `age` or `plan`."""

    def write(tf: Any, path: Path) -> None:
        class Made(tf.Module):
            @tf.function(input_signature=[tf.TensorSpec([rows, 1], kind)])
            def __call__(self, x: Any) -> Any:
                return body(tf, x)

        tf.saved_model.save(Made(), str(path))

    return write


def hashed(keras: Any) -> Any:
    from keras import layers

    plan = keras.Input((1,), name="plan", dtype="string")
    return keras.Model(plan, layers.Dense(1)(layers.Hashing(8, output_mode="one_hot")(plan)))


def halved(tf: Any, x: Any) -> Any:
    """Until it is small: every row turns another number of times."""
    return tf.while_loop(lambda v: tf.reduce_any(v > 1), lambda v: (v / 2,), (x,))[0]


def of_a_file(tf: Any, path: Path) -> None:
    """A table that is read from a file when the model is opened."""
    words = path.with_suffix(".txt")
    words.write_text("pro\n")
    kind = tf.lookup.TextFileIndex
    filled = tf.lookup.TextFileInitializer(
        str(words), tf.string, kind.WHOLE_LINE, tf.int64, kind.LINE_NUMBER
    )

    class Made(tf.Module):
        def __init__(self) -> None:
            self.table = tf.lookup.StaticHashTable(filled, -1)

        @tf.function(input_signature=[tf.TensorSpec([None, 1], "string")])
        def __call__(self, x: Any) -> Any:
            return tf.cast(self.table.lookup(x), tf.float32)

    tf.saved_model.save(Made(), str(path))


def writing(tf: Any, x: Any) -> Any:
    tf.io.write_file("written.txt", "by the model")
    return x


def only_positive(tf: Any, x: Any) -> Any:
    with tf.control_dependencies([tf.debugging.assert_positive(x)]):
        return tf.sqrt(x)


def random(tf: Any, x: Any) -> Any:
    return tf.nn.dropout(x, 0.5)


BOTH = ["code", "age"]
PUBLISHED: dict[str, Saved] = {
    "export_texts": Saved(exported(texts), ["plan", "code", "age"], LABELS),
    "export_perceptron": Saved(exported(perceptron), BOTH),
    "save_perceptron": Saved(saved(perceptron), BOTH, opened=loaded),
    "export_encoded": Saved(exported(encoded), ["code", "history"], entries={"history": CODES}),
    "export_masked": Saved(exported(masked), ["history"], LABELS, entries={"history": CODES}),
    "export_windows": Saved(exported(windows), ["history"], entries={"history": CODES}),
    "export_bins": Saved(exported(bins), ["age"]),
    "older_layers": Saved(older, ["history"], entries={"history": CODES}),
    "signature_of_module": Saved(module, ["age"], opened=signature),
    "logged_module": Saved(one_module, BOTH, LABELS, opened=logged),
}
REFUSED: dict[str, Saved] = {
    "export_hashed": Saved(exported(hashed), ["plan"]),
    "several_signatures": Saved(module, BOTH),
    "several_outputs": Saved(of_function(lambda tf, x: {"a": x, "b": x}), ["age"]),
    "whole_numbers": Saved(of_function(lambda tf, x: tf.cast(x, tf.int64)), ["age"]),
    "a_loop_on_values": Saved(of_function(halved), ["age"]),
    "rows_together": Saved(of_function(lambda tf, x: x - tf.reduce_mean(x)), ["age"]),
    "number_of_rows": Saved(
        of_function(lambda tf, x: x / tf.cast(tf.shape(x)[0], tf.float32)), ["age"]
    ),
    "many_rows": Saved(
        of_function(lambda tf, x: tf.cond(tf.shape(x)[0] > 5000, lambda: 2 * x, lambda: x)), ["age"]
    ),
    "some_rows": Saved(of_function(lambda tf, x: x[:1] + x), ["age"]),
    "an_assertion": Saved(of_function(only_positive), ["age"]),
    "at_random": Saved(of_function(random), ["age"]),
    "parts_of_texts": Saved(
        of_function(lambda tf, x: tf.cast(tf.strings.length(x), tf.float32), "string"), ["plan"]
    ),
    "numbers_in_texts": Saved(
        of_function(lambda tf, x: tf.strings.to_number(x), "string"), ["plan"]
    ),
    "files_of_others": Saved(of_a_file, ["plan"]),
    "writing_files": Saved(of_function(writing), ["age"]),
    "one_row_at_a_time": Saved(of_function(lambda tf, x: x, rows=1), ["age"]),
}
SAID = {
    "export_hashed": "StringToHashBucketFast",
    "several_signatures": "signatures['double']",
    "several_outputs": "its outputs are a, b",
    "whole_numbers": "it is int64",
    "a_loop_on_values": "While",
    "rows_together": "Mean",
    "number_of_rows": "number of the rows",
    "many_rows": "how it goes on depends on the rows",
    "some_rows": "StridedSlice",
    "an_assertion": "Assert",
    "at_random": "RandomUniform",
    "parts_of_texts": "StringLength",
    "numbers_in_texts": "StringToNumber",
    "files_of_others": "InitializeTableFromTextFileV2, which may reach beyond",
    "writing_files": "WriteFile, which may reach beyond",
    "one_row_at_a_time": "1 rows at a time",
}


def answers(model: Saved, path: Path, rows: pd.DataFrame) -> list[list[float] | None]:
    """TensorFlow's own, row by row; None where it raises, or answers by how it is set.

    A Relu of NaN is NaN, and is zero where TensorFlow fuses it with the product before it.
    """
    import tensorflow as tf

    made = tf.saved_model.load(str(path))
    names = [n for n in made.signatures if n in ("double", "serving_default")]
    chosen = made.signatures[sorted(names)[-1]]
    specs = chosen.structured_input_signature[1]

    def tensor(spec: Any, values: list[Any]) -> Any:
        kind = spec.dtype.as_numpy_dtype
        if spec.dtype.is_floating:
            values = [np.nan if v is None else v for v in values]
        flat = np.array(values, dtype=object if kind is object else kind)
        return tf.constant(flat.reshape(1, *spec.shape[1:]), spec.dtype)

    def one(row: dict[str, Any]) -> list[float] | None:
        for name, entries in model.entries.items():
            places = row[name]
            if places is None or len(places) != STEPS or not set(places) <= set(range(entries)):
                return None
        try:
            if len(specs) == 1:
                values = [*row.values()]
                values = values[0] if np.ndim(values[0]) else values
                feed = {name: tensor(spec, values) for name, spec in specs.items()}
            else:
                feed = {
                    name: tensor(spec, row[name] if np.ndim(row[name]) else [row[name]])
                    for name, spec in specs.items()
                }
            found = []
            for plain in (True, False):
                tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": plain})
                (result,) = chosen(**feed).values()
                found.append([float(v) for v in np.ravel(result)])
        except Exception:  # whatever TensorFlow raises
            return None
        return found[1] if (np.isnan(found[0]) == np.isnan(found[1])).all() else None

    return [one(row) for row in rows[model.names].to_dict("records")]

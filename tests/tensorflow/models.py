"""Trains and publishes TensorFlow's models; run by the interpreter that has it.

`python -m tests.tensorflow.models DIRECTORY` leaves there, of each model, the rows to score with
TensorFlow's own answers, and of what was refused the message. The registry is the one of the
environment.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Callable

N, CODES, STEPS = 200, 40, 8
PLANS = ("basic", "pro", "größe", "with space", "")
UNSEEN = ("enterprise", "[UNK]", "nan", "🌱", "x" * 300)
LABELS = ("low", "high", "größte")


def columns(n: int = N, seed: int = 0) -> pd.DataFrame:
    """Texts, codes, numbers, and an array of codes."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "plan": rng.choice(PLANS, n),
            "code": rng.integers(-3, 12, n),
            "age": rng.uniform(18, 90, n).round(1),
            "history": list(rng.integers(0, CODES, (n, STEPS))),
        }
    )


def awkward(names: list[str]) -> pd.DataFrame:
    """Rows to score: unseen texts and codes, NULL, infinity, arrays of another length."""
    rows = columns(60, 9)[names].astype(object)
    odd: dict[str, list[Any]] = {
        "plan": [None, *UNSEEN],
        "code": [None, -1, 0, 999, 2**40],
        "age": [None, np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e-45],
        "history": [None, [0] * (STEPS - 1), [CODES] * STEPS, [-1] * STEPS, [CODES - 1] * STEPS],
    }
    for place, name in enumerate(names):
        for i, value in enumerate(odd[name]):
            rows.at[i * len(names) + place, name] = value
    return rows


@dataclass(frozen=True)
class Model:
    """A model to publish: how it is made, its columns in its order, and its labels."""

    make: Callable[[Any], Any]
    names: list[str]
    labels: tuple[str, ...] | None = None
    as_file: bool = False


def texts(keras: Any) -> Any:
    """Every way of a lookup, adapted and given, beside numbers in bins."""
    from keras import layers

    rows = columns()
    plan = keras.Input((1,), name="plan", dtype="string")
    code = keras.Input((1,), name="code", dtype="int64")
    age = keras.Input((1,), name="age")
    numbered = layers.StringLookup(mask_token="")
    numbered.adapt(rows.plan.to_numpy().astype(object))
    counted = layers.IntegerLookup(max_tokens=6, output_mode="count", num_oov_indices=2)
    counted.adapt(rows.code.to_numpy())
    normal = layers.Normalization(axis=None)
    normal.adapt(rows.age.to_numpy())
    bins = layers.Discretization(num_bins=4, output_mode="one_hot")
    bins.adapt(rows.age.to_numpy())
    looked = layers.Flatten()(layers.Embedding(9, 3)(numbered(plan)))
    known = layers.StringLookup(vocabulary=["pro", "größe"], output_mode="one_hot")(plan)
    joined = layers.Concatenate()([looked, known, counted(code), normal(age), bins(age)])
    hidden = layers.Dense(8, activation="relu")(joined)
    return keras.Model([plan, code, age], layers.Dense(3, activation="softmax")(hidden))


def known_only(keras: Any) -> Any:
    """Without a place for what is unseen: TensorFlow raises, and such a row is NULL."""
    from keras import layers

    plan = keras.Input((1,), name="plan", dtype="string")
    looked = layers.StringLookup(vocabulary=list(PLANS), num_oov_indices=0, output_mode="one_hot")
    return keras.Model(plan, layers.Dense(2)(looked(plan)))


def feature_space(keras: Any) -> Any:
    import tensorflow as tf

    rows = columns()[["plan", "code", "age"]]
    kinds = {"plan": "string_categorical", "code": "integer_categorical", "age": "float_normalized"}
    space = keras.utils.FeatureSpace(features=kinds, output_mode="concat")
    space.adapt(tf.data.Dataset.from_tensor_slices(dict(rows)))
    last = keras.layers.Dense(1)(space.get_encoded_features())
    return keras.Model(space.get_inputs(), last)


def sequence(keras: Any) -> Any:
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((STEPS,), dtype="int64"), layers.Embedding(CODES, 4),
            layers.Conv1D(6, 3, padding="same", activation="relu"), layers.MaxPooling1D(2),
            layers.Bidirectional(layers.LSTM(3)), layers.Dense(1),
        ]
    )  # fmt: skip


def numbers(keras: Any) -> Any:
    """No embedding, so that NaN and infinity reach what TensorFlow does with them."""
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((1,)), layers.Dense(6), layers.Reshape((6, 1)),
            layers.Conv1D(3, 2), layers.MaxPooling1D(2), layers.Flatten(),
            layers.LayerNormalization(), layers.Dense(2, activation="gelu"),
        ]
    )  # fmt: skip


def bins(keras: Any) -> Any:
    """TensorFlow takes a number of too few digits as zero, where it compares."""
    from keras import layers

    age = keras.Input((1,), name="age")
    numbered = layers.Discretization([-1.0, 0.0, 40.0], output_mode="one_hot")(age)
    return keras.Model(age, layers.Dense(2)(numbered))


def hashed(keras: Any) -> Any:
    from keras import layers

    plan = keras.Input((1,), name="plan", dtype="string")
    bins = layers.Hashing(8, output_mode="one_hot")(plan)
    return keras.Model(plan, layers.Dense(1)(bins))


def several_unknown(keras: Any) -> Any:
    from keras import layers

    plan = keras.Input((1,), name="plan", dtype="string")
    looked = layers.StringLookup(vocabulary=["pro"], num_oov_indices=3, output_mode="one_hot")
    return keras.Model(plan, layers.Dense(1)(looked(plan)))


def words(keras: Any) -> Any:
    from keras import layers

    plan = keras.Input((1,), name="plan", dtype="string")
    found = layers.TextVectorization(vocabulary=["pro"], output_mode="multi_hot")(plan)
    return keras.Model(plan, layers.Dense(1)(found))


PUBLISHED = {
    "texts": Model(texts, ["plan", "code", "age"], LABELS),
    "texts_of_a_file": Model(texts, ["plan", "code", "age"], LABELS, as_file=True),
    "known_only": Model(known_only, ["plan"]),
    "feature_space": Model(feature_space, ["plan", "code", "age"]),
    "sequence": Model(sequence, ["history"]),
    "numbers": Model(numbers, ["age"]),
    "bins": Model(bins, ["age"]),
}
REFUSED = {
    "hashed": Model(hashed, ["plan"]),
    "several_unknown": Model(several_unknown, ["plan"]),
    "words": Model(words, ["plan"]),
}


def answers(model: Any, rows: pd.DataFrame) -> list[list[float] | None]:
    """TensorFlow's own, row by row, as an author calls it; None where it raises."""
    kinds = {"plan": object, "code": "int64", "age": "float32", "history": "int64"}

    def one(row: dict[str, Any]) -> list[float] | None:
        if "history" in row and (row["history"] is None or len(row["history"]) != STEPS):
            return None  # SQL takes arrays of the length that was published
        if row.get("code", 0) is None:
            return None  # a whole number that is missing has no form in a tensor
        age = row.get("age", 0.0)
        feed = {
            name: np.array([value if name == "history" else [value]], dtype=kinds[name])
            for name, value in (row | ({"age": np.nan} if age is None else {})).items()
        }
        if "history" in feed and not ((feed["history"] >= 0) & (feed["history"] < CODES)).all():
            return None  # TensorFlow raises on some machines, and gives zeros on others
        by_name = isinstance(getattr(model, "_inputs_struct", None), dict)
        given: Any = feed if by_name else [feed[name] for name in feed]
        try:
            found = model(given if by_name or len(feed) > 1 else given[0], training=False)
        except Exception:  # whatever TensorFlow raises
            return None
        return [float(v) for v in np.asarray(found)[0]]

    return [one(row) for row in rows.to_dict("records")]


def leave(directory: Path, name: str, rows: pd.DataFrame, expected: list[Any]) -> None:
    """Rows and answers, for the environment without TensorFlow."""
    table = {
        n: pa.array(rows[n], type=pa.list_(pa.int64()) if n == "history" else None,
                    from_pandas=False)
        for n in rows
    }  # fmt: skip
    table["expected"] = pa.array(expected, type=pa.list_(pa.float64()), from_pandas=False)
    table["row"] = pa.array(range(len(rows)))
    pq.write_table(pa.table(table), directory / f"{name}.parquet")


def main(directory: Path) -> None:
    import keras
    import tensorflow as tf

    import sqlml
    from tests.tensorflow import saved_models

    refused = {}
    for name, model in {**PUBLISHED, **REFUSED}.items():
        keras.utils.set_random_seed(3)
        made, sample = model.make(keras), columns()[model.names]
        given = made
        if model.as_file:
            given = directory / f"{name}.keras"
            made.save(given)
        try:
            sqlml.publish(given, f"tensorflow_{name}", sample=sample, labels=model.labels)
        except sqlml.errors.SqlmlError as error:
            refused[name] = str(error)
            continue
        rows = awkward(model.names)
        leave(directory, name, rows, answers(made, rows))
    for name, saved in {**saved_models.PUBLISHED, **saved_models.REFUSED}.items():
        keras.utils.set_random_seed(3)
        path = directory / name
        made = saved.write(tf, path)
        try:
            sqlml.publish(
                saved.opened(path, made), f"tensorflow_{name}", sample=columns()[saved.names],
                labels=saved.labels,
            )  # fmt: skip
        except sqlml.errors.SqlmlError as error:
            refused[name] = str(error)
            continue
        rows = awkward(saved.names)
        leave(directory, name, rows, saved_models.answers(saved, path, rows))
    (directory / "refused.json").write_text(json.dumps(refused))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

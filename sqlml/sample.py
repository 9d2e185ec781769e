"""The author's sample: rows in the form that the original model takes, with SQL types.

A sample comes as a pandas DataFrame, a NumPy array, a pyarrow Table or a Spark DataFrame.
It gives the signature its names and types, and parity its rows. Author's side only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlml import types
from sqlml.errors import SampleError, listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pandas as pd


TEXT = "text"
"""The name of a column of texts that has none."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the sample."""

    name: str
    type: str
    """The Spark SQL type: a key of `types.SCALARS`, or an ARRAY of numbers."""
    missing: Any
    """What stands for a missing value in this column, as the original met it: None or NaN."""
    categorical: bool = False
    """A pandas `category` column: `type` is that of its categories."""
    width: int | None = None
    """The elements of each array, where the column holds arrays of numbers."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Named, typed rows; `container` is what the original is called with."""

    frame: pd.DataFrame
    """The rows, under the names of `columns` (strings)."""
    columns: tuple[Column, ...]
    as_array: bool = False
    """The author gave a bare array: the original gets one too."""
    labels: tuple[Any, ...] = ()
    """The frame's own column labels, where the original knows the columns by those."""
    alone: bool = False
    """The original takes its one column itself, as a Series: the texts of a vectorizer."""

    def container(
        self, frame: pd.DataFrame
    ) -> pd.DataFrame | pd.Series[Any] | np.ndarray[Any, Any]:
        """Rows, in the author's own form, to call the original with."""
        if self.alone:
            return frame.iloc[:, 0]
        if self.as_array:
            return frame.to_numpy()
        renamed = frame.copy(deep=False)
        renamed.columns = list(self.labels)
        return renamed

    def __len__(self) -> int:
        return len(self.frame)


def read_sample(
    data: Any,
    names: Sequence[str] | None = None,
    most: int = 10_000,
    *,
    nullable: bool = False,
    alone: bool = False,
) -> Sample:
    """The sample behind whatever the author gave; `names` name the columns of a bare array.

    `alone`: the original takes one column itself, not a table: then a list, an array or a Series
    will do too, whose column is named `text` where it has no name.

    `nullable`: whole numbers and booleans are in pandas' nullable types, so that they stay
    what they are where they are missing; else they become floats and objects there.
    At most `most` rows are kept, evenly spaced. Raises `SampleError` for no rows, for two
    columns of one name, and for columns whose type has no place in a signature.
    """
    import numpy as np
    import pandas as pd

    if alone:
        data = _one_column(data)
    as_array = isinstance(data, np.ndarray)
    if as_array:
        if data.ndim != 2:
            raise SampleError(f"A sample array has two axes, rows and columns; found {data.ndim}.")
        known = list(names) if names is not None else [f"x{i}" for i in range(data.shape[1])]
        if len(known) != data.shape[1]:
            raise SampleError(f"The model has {len(known)} inputs, the sample {data.shape[1]}.")
        frame = pd.DataFrame(data, columns=known)
    elif isinstance(data, pd.DataFrame):
        frame = data
    elif hasattr(data, "to_pandas"):  # pyarrow.Table
        frame = data.to_pandas()
    elif hasattr(data, "toPandas") and nullable:
        frame = data.limit(most).toArrow().to_pandas(types_mapper=_nullable_types().get)
    elif hasattr(data, "toPandas"):  # pyspark.sql.DataFrame, classic or Connect
        frame = data.limit(most).toPandas()
    else:
        raise SampleError(
            f"A sample is a pandas DataFrame, a NumPy array, a pyarrow Table or a Spark "
            f"DataFrame; found {type(data).__module__}.{type(data).__name__}."
        )
    if len(frame) == 0:
        raise SampleError("The sample has no rows. Give some hundred rows of the training data.")
    labels = tuple(frame.columns)
    texts = [str(label) for label in labels]
    if len({t.lower() for t in texts}) < len(texts):
        # Spark SQL does not tell names apart by case unless told to.
        twice = sorted({t for t in texts if [u.lower() for u in texts].count(t.lower()) > 1})
        raise SampleError(f"The sample has two columns of one name: {listed(twice)}.")
    if len(frame) > most:
        frame = frame.iloc[np.linspace(0, len(frame) - 1, most).astype(int)]
    frame = frame.reset_index(drop=True)
    frame = frame.set_axis(texts, axis=1)
    if nullable:
        frame = frame.astype(_nullable_dtypes(frame))
    columns = tuple(_column(t, frame[t]) for t in texts)
    if alone and len(columns) != 1:
        raise SampleError(
            f"The model takes texts alone, in one column; the sample has {listed(texts)}. "
            f"Give that one: sample[[{texts[0]!r}]]."
        )
    return Sample(frame, columns, as_array, labels, alone)


def _one_column(data: Any) -> Any:
    """Values without a table around them, as a table of one column."""
    import numpy as np
    import pandas as pd

    if isinstance(data, list | tuple) or (isinstance(data, np.ndarray) and data.ndim == 1):
        data = pd.Series(data, name=TEXT)
    if isinstance(data, pd.Series):
        return data.to_frame(TEXT if data.name is None else data.name)
    if isinstance(data, np.ndarray) and data.ndim == 2:
        return pd.DataFrame(data, columns=[TEXT, *map(str, range(1, data.shape[1]))])
    return data


def _nullable_types() -> dict[Any, Any]:
    """By Arrow type, pandas' type that can be missing."""
    import pandas as pd
    import pyarrow as pa

    return {
        pa.bool_(): pd.BooleanDtype(),
        pa.int8(): pd.Int8Dtype(),
        pa.int16(): pd.Int16Dtype(),
        pa.int32(): pd.Int32Dtype(),
        pa.int64(): pd.Int64Dtype(),
    }


def _nullable_dtypes(frame: pd.DataFrame) -> dict[str, str]:
    """For the columns of whole numbers and of booleans, their type that can be missing."""
    found = {}
    for name, dtype in frame.dtypes.items():
        if dtype.kind == "b":
            found[str(name)] = "boolean"
        elif dtype.kind in "iu":
            # Spark has signed integers only: an unsigned one takes the next wider.
            bits = int(dtype.itemsize) * 8 * (2 if dtype.kind == "u" else 1)
            found[str(name)] = f"Int{min(bits, 64)}"
    return found


def _column(name: str, values: pd.Series[Any]) -> Column:
    import pandas as pd

    if isinstance(values.dtype, pd.CategoricalDtype):
        inner = _column(name, pd.Series(values.cat.categories))
        return Column(name, inner.type, float("nan"), categorical=True)
    dtype: Any = values.dtype
    missing: Any = float("nan")
    if dtype.kind == "f":
        kind = "FLOAT" if dtype.itemsize <= 4 else "DOUBLE"
    elif dtype.kind in "iu":
        bits = int(dtype.itemsize) * 8 * (2 if dtype.kind == "u" else 1)
        if bits > 64 and values.max() >= 2**63:
            raise SampleError(
                f"Column {name!r} of the sample has {values.max()}, which is no BIGINT. Give "
                "numbers up to 9223372036854775807, or doubles."
            )
        kind = {8: "TINYINT", 16: "SMALLINT", 32: "INT"}.get(bits, "BIGINT")
    elif dtype.kind == "b":
        kind = "BOOLEAN"
    elif isinstance(dtype, pd.StringDtype):
        kind, missing = "STRING", dtype.na_value
    elif dtype.kind == "O" and _holds_arrays(values):
        return _array_column(name, values)
    elif dtype.kind == "O":
        kind, missing = _object_column(name, values)
    else:
        raise SampleError(
            f"Column {name!r} of the sample is {dtype}, which has no place in a model's "
            "inputs. Give numbers, booleans or strings."
        )
    return Column(name, kind, missing)


def _holds_arrays(values: pd.Series[Any]) -> bool:
    import numpy as np

    return any(isinstance(v, list | tuple | np.ndarray) for v in values)


def _array_column(name: str, values: pd.Series[Any]) -> Column:
    """A column of arrays of numbers, all of one length."""
    import numpy as np

    try:
        together = np.stack([np.asarray(v) for v in values])
    except ValueError:
        together = np.empty(0, dtype=object)
    if together.ndim != 2 or together.dtype.kind not in "fiu":
        raise SampleError(
            f"Column {name!r} of the sample holds arrays which are not all of numbers and of one "
            "length, and has no place in a model's inputs."
        )
    single = together.dtype.kind == "f" and together.dtype.itemsize <= 4
    kind = "BIGINT" if together.dtype.kind in "iu" else "FLOAT" if single else "DOUBLE"
    return Column(name, f"ARRAY<{kind}>", float("nan"), width=together.shape[1])


def _object_column(name: str, values: pd.Series[Any]) -> tuple[str, Any]:
    """The type and the missing marker of a column of Python objects."""
    import numpy as np

    absent = values[values.isna()]
    missing = absent.iloc[0] if len(absent) else float("nan")
    kinds = {type(v) for v in values[values.notna()]}
    if kinds <= {str, np.str_}:
        return "STRING", missing
    if kinds <= {bool, np.bool_}:
        return "BOOLEAN", missing
    if all(issubclass(k, int | np.integer) for k in kinds):
        return "BIGINT", missing
    if all(issubclass(k, int | float | np.number) for k in kinds):
        return "DOUBLE", missing
    found = listed(sorted(k.__name__ for k in kinds))
    raise SampleError(
        f"Column {name!r} of the sample holds {found}, which has no place in a model's inputs. "
        f"Give one of {listed(sorted(types.SCALARS))}."
    )

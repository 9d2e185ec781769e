"""Made-up tables: the rows that models learn from, and the rows that SQL users score.

A table is a function of a number of rows and a seed. `fresh` rows come from another seed
and begin with the awkward ones: a NULL in each column, unseen text, zeros, huge values.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Table = Callable[[int, int], pd.DataFrame]

SQL_NAMES = ("home.dest", "years of age", "größe", "país", "a`b")
WORDS = ("", "nan", "None", "null", "0", " basic", "BASIC", "zebra", "größte", "x" * 300)
REVIEW = ("good", "bad", "fair", "price", "slow", "fast", "again", "never", "great", "broken")
NEARLY_ZERO = -float(np.float32(1e-35))  # the outermost number that LightGBM takes for zero
EXTREMES = (0.0, -0.0, 1.0, -1.0, 1e-30, NEARLY_ZERO, 1e6, -1e6, np.inf, -np.inf)


def numbers(
    n: int,
    seed: int,
    *,
    width: int = 5,
    names: Sequence[str] = (),
    dtype: str = "float64",
    missing: float = 0.0,
    decimals: int | None = None,
) -> pd.DataFrame:
    """Normally distributed columns; a share of them `missing`."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, width))
    if decimals is not None:
        values = values.round(decimals)
    if missing:
        values[rng.random(values.shape) < missing] = np.nan
    return pd.DataFrame(
        values.astype(dtype), columns=list(names) or [f"v{i}" for i in range(width)]
    )


def counts(n: int, seed: int, *, dtype: str = "int64", most: int = 12) -> pd.DataFrame:
    """Small whole numbers: thresholds of trees lie close to them."""
    rng = np.random.default_rng(seed)
    least = 0 if dtype.startswith("u") else -most
    return pd.DataFrame({f"n{i}": rng.integers(least, most, n).astype(dtype) for i in range(4)})


def keys(n: int, seed: int) -> pd.DataFrame:
    """Whole numbers that float32 cannot tell apart, close to one another."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "cents": 2**24 + rng.integers(-40, 40, n),
            "epoch": 1_700_000_000 + rng.integers(-300, 300, n),
            "micros": 2**45 + rng.integers(-1000, 1000, n),
        }
    )


def prices(n: int, seed: int) -> pd.DataFrame:
    """Large whole numbers whose sum of products keeps its digits in double."""
    return keys(n, seed)[["cents", "epoch"]]


def flags(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({f"is_{name}": rng.random(n) < 0.4 for name in ("new", "paid", "abroad")})


def twins(n: int, seed: int) -> pd.DataFrame:
    """Duplicate columns, and one that never changes."""
    frame = numbers(n, seed, width=2)
    return frame.assign(v0_again=frame["v0"], v0_double=2 * frame["v0"], constant=1.0)


def customers(
    n: int, seed: int, *, missing: float = 0.0, marker: Any = np.nan, category: bool = False
) -> pd.DataFrame:
    """Numbers, whole numbers, text and booleans; `marker` stands for missing text."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.uniform(18, 90, n).round(1),
            "income": rng.lognormal(8, 1, n),
            "tenure": rng.integers(0, 120, n),
            "plan": rng.choice(["basic", "plus", "pro", "größte"], n),
            "country": rng.choice(["DE", "FR", "US", "CL", "", "nan"], n),
            "active": rng.random(n) < 0.5,
        }
    )
    if missing:
        for name in ("age", "income"):
            frame.loc[rng.random(n) < missing, name] = np.nan
        for name in ("plan", "country"):
            gone = rng.random(n) < missing
            frame[name] = [marker if g else v for g, v in zip(gone, frame[name], strict=True)]
    if category:
        for name in ("plan", "country"):
            frame[name] = frame[name].astype("category")
    return frame


def positives(n: int, seed: int) -> pd.DataFrame:
    """Whole numbers from 0 on, which may be codes of categories."""
    return counts(n, seed).abs()


ODD_WORDS = (
    "a",
    "a\0b",
    "a ",
    "it's",
    "back\\slash",
    "two\nlines",
    "\u00e9",
    "e\u0301",
    "\U0001f600",
)


def odd_words(n: int, seed: int) -> pd.DataFrame:
    """Categories whose names are close to each other, or awkward in SQL."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "amount": rng.normal(size=n),
            "word": pd.Categorical(rng.choice(np.array(ODD_WORDS, object), n)),
        }
    )


def grades(n: int, seed: int, *, whole: bool = False) -> pd.DataFrame:
    """Categories that are whole numbers, and without `whole` others, beside a number."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "amount": rng.normal(size=n),
            "grade": pd.Categorical(rng.choice([40, -1, 7, 3, 12], n)),
            "paid": pd.Categorical(rng.random(n) < 0.5),
            "rate": pd.Categorical(rng.choice([0.5, 2.25, 1.5, -3.0], n)),
        }
    )
    return frame[["amount", "grade"]] if whole else frame


def reviews(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    words = np.array(REVIEW)
    picks = rng.integers(0, len(words), (n, 6))
    return pd.DataFrame({"text": [" ".join(words[p]) for p in picks], "stars": rng.normal(3, 1, n)})


def much_zero(n: int, seed: int) -> pd.DataFrame:
    frame = numbers(n, seed)
    return frame.where(frame.abs() > 0.3, 0.0)


def signal(frame: pd.DataFrame) -> np.ndarray:
    """What the targets depend on: all columns, less and less, and a product of two."""
    columns = []
    for _, column in frame.iloc[:, :8].items():
        if isinstance(column.dtype, pd.CategoricalDtype):
            column = column.astype(column.cat.categories.dtype)
        if column.dtype.kind in "fiub":
            values = column.astype("float64").fillna(column.astype("float64").mean() + 1)
        else:
            values = column.map(lambda v: sum(map(ord, v)) % 7 if isinstance(v, str) else 3)
            values = values.astype("float64")
        columns.append(((values - values.mean()) / (values.std() or 1.0)).to_numpy())
    z = sum((-1) ** i * c / (i + 1) for i, c in enumerate(columns))
    return z + 0.5 * columns[0] * columns[-1]


# The targets: functions of the signal and a random generator.


def yes_no(z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.where(z + rng.normal(0, 0.3, len(z)) > 0, "yes", "no")


def zero_one(z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (yes_no(z, rng) == "yes").astype(np.int64)


def true_false(z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return yes_no(z, rng) == "yes"


def three(
    z: np.ndarray, rng: np.random.Generator, labels: Sequence[Any] = ("high", "low", "mid")
) -> np.ndarray:
    noisy = z + rng.normal(0, 0.3, len(z))
    return np.array(labels)[np.digitize(noisy, np.quantile(noisy, [0.3, 0.7]))]


whole_numbers = partial(three, labels=(-7, 3, 200))
zero_one_two = partial(three, labels=(0, 1, 2))


def ten(z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noisy = z + rng.normal(0, 0.3, len(z))
    return np.digitize(noisy, np.quantile(noisy, np.linspace(0.1, 0.9, 9)))


def rare(z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One in a thousand, and at least two."""
    found = np.zeros(len(z), dtype=np.int64)
    found[np.argsort(z)[-max(2, len(z) // 1000) :]] = 1
    return found


def number(z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return 10 + 3 * z + rng.normal(0, 0.1, len(z))


def money(z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.exp(1 + 0.4 * np.clip(z, -4, 4)) + rng.random(len(z))


def events(z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.poisson(np.exp(0.4 * np.clip(z, -4, 4))).astype("float64")


def two_numbers(z: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame({"price": number(z, rng), "cost of goods": -number(z * z, rng)})


def same(z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.full(len(z), 2.5)


def none(z: np.ndarray, rng: np.random.Generator) -> None:
    return None


# Rows to score.


def fresh(table: Table, n: int = 300, *, seed: int = 99, marker: Any = np.nan) -> pd.DataFrame:
    """Rows that no model was trained on, the awkward ones first.

    Whole numbers and booleans become pandas' nullable types where they are missing.
    """
    clean = table(n, seed)
    awkward = []
    for name in clean.columns[:40]:
        for value in _awkward(clean[name], marker):
            row = clean.iloc[len(awkward) % n].copy()
            row[name] = value
            awkward.append(row)
    empty = clean.iloc[0].copy()
    for name in clean.columns:
        empty[name] = _awkward(clean[name], marker)[0]
    awkward.append(empty)
    columns = {}
    for name in clean.columns:
        values = [row[name] for row in awkward] + list(clean[name])
        columns[name] = _column(values, clean[name].dtype)
    return pd.DataFrame(columns)


def _awkward(column: pd.Series, marker: Any) -> list[Any]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = pd.Series(column.cat.categories)
    kind = column.dtype.kind
    if kind == "f":
        return [np.nan, *(np.float64(v) for v in EXTREMES)]
    if kind in "iu":
        return [None, 0, 1, 100, *(() if kind == "u" else (-1, -100))]
    if kind == "b":
        return [None]
    return [marker, *WORDS]


def _column(values: list[Any], dtype: Any) -> pd.Series:
    if isinstance(dtype, pd.CategoricalDtype):
        there = [None if pd.isna(v) else v for v in values]
        new = [v for v in dict.fromkeys(there) if v is not None and v not in dtype.categories]
        kind = dtype.categories.dtype  # a row of numbers only has whole ones as floats
        known = pd.Index([*dtype.categories, *new], dtype=kind)
        return pd.Series(pd.Categorical(there, categories=known))
    if dtype.kind in "iu":
        return pd.Series(values, dtype=dtype.name.replace("int", "Int").replace("uI", "UI"))
    if dtype.kind == "b":
        return pd.Series(values, dtype="boolean")
    return pd.Series(values, dtype=dtype)

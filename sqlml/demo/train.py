"""The demo's model: an ordinary pipeline, as its author would write it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def train(rows: pd.DataFrame) -> tuple[Any, pd.DataFrame]:
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    texts = ["carrier", "origin", "manufacturer", "engine"]
    flight = ["weekday", "scheduled", "distance", "airport_delay", "seats", "plane_age"]
    weather = ["temp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
    X = rows[texts + flight + weather]
    encode = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    prepare = ColumnTransformer(
        [("encode", encode, texts), ("as they are", "passthrough", flight + weather)]
    )
    model = make_pipeline(prepare, HistGradientBoostingClassifier(max_iter=60, random_state=0))
    return model.fit(X, rows["outcome"]), X

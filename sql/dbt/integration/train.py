"""Publish the two models that this dbt project scores with: python train.py."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

import sqlml

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

CUSTOMERS = Path(__file__).parent / "seeds" / "customers.csv"
INPUTS = ["age", "tenure", "plan"]


def main() -> None:
    """Train on the seed and publish `churn` and `spend`."""
    customers = pd.read_csv(CUSTOMERS)
    known = customers.dropna()  # a logistic regression takes no missing values
    for model, name, rows in (
        (churn(known), "churn", known),
        (spend(customers), "spend", customers),
    ):
        print(sqlml.publish(model, name, sample=rows[INPUTS]))


def churn(customers: pd.DataFrame, regularisation: float = 1.0) -> Pipeline:
    """Whether a customer leaves: a classifier with the labels yes and no."""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    prepare = make_column_transformer(
        (StandardScaler(), ["age", "tenure"]), (OneHotEncoder(handle_unknown="ignore"), ["plan"])
    )
    # A convex problem, solved to the last digits: every machine finds the same model.
    learner = LogisticRegression(C=1 / regularisation, solver="newton-cholesky", tol=1e-12)
    return make_pipeline(prepare, learner).fit(customers[INPUTS], customers["churned"])


def spend(customers: pd.DataFrame) -> Pipeline:
    """What a customer spends in a month: a regressor that takes missing values."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    prepare = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["plan"]),
        remainder="passthrough",
    )
    learner = HistGradientBoostingRegressor(max_iter=20, random_state=0)
    return make_pipeline(prepare, learner).fit(customers[INPUTS], customers["spend"])


if __name__ == "__main__":
    main()

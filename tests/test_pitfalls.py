"""The known ways in which a conversion scores wrongly without a word, and what watches each.

C1 to C31 are read from the sources and issues of skl2onnx, onnxmltools, ONNX Runtime, MLflow,
tf2onnx and the libraries. A watcher is a model of the zoo, which scores on every path as its
framework does or is refused on every one, or a test by its file and name.
"""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import sqlml
from sqlml.errors import NotConvertibleError

from .zoo import REFUSED, ZOO

TESTS = Path(__file__).parent
KNOWN = {case.id for case in (*ZOO, *REFUSED)}

PITFALLS = {
    "C1 Spark ML: a boosted regressor became a classifier of 0 and 1": ("spark-gbt",),
    "C2 Spark ML: the link of a generalised linear model was left out": (
        "spark-glm-gaussian-log", "spark-glm-poisson-sqrt", "spark-glm-gamma-inverse",
        "spark-glm-binomial-cloglog", "spark-glm-tweedie", "spark-glm-probit",
    ),
    "C3 Spark ML: three classes had a logistic function in the place of softmax": (
        "spark-softmax", "spark-softmax-sparse",
    ),
    "C4 Spark ML: of a split by categories only the first one counted": (
        "spark-forest-categories", "spark-tree-regressor-categories",
    ),
    "C5 scikit-learn: trees forgot where a missing value goes": (
        "sklearn-tree-missing", "sklearn-forest-missing",
    ),
    "C6 scikit-learn: categories of histogram boosting were thresholds": (
        "sklearn-hgb-categories", "sklearn-hgb-text-categories",
        "sklearn-hgb-categories-of-numbers", "sklearn-hgb-encoded-categories",
    ),
    "C7 scikit-learn: histogram boosting computed in float32": (
        "sklearn-hgb", "sklearn-hgb-missing", "sklearn-hgb-three",
    ),
    "C8 LightGBM: zero_as_missing and linear_tree were ignored": (
        "lightgbm-zero-as-missing", "lightgbm-linear-tree", "lightgbm-linear-tree-three",
    ),
    "C9 boosters: a category's value was taken for its code": (
        "lightgbm-categories", "lightgbm-categories-of-numbers", "xgboost-categories",
        "xgboost-categories-missing", "xgboost-categories-of-numbers", "catboost-categories",
    ),
    "C10 float32 instead of double turns branches": (
        "sklearn-tree-large-integers", "sklearn-customers-scaled-forest",
        "lightgbm-large-integers", "xgboost-float32",
        "convert/test_ensemble.py::"
        "test_thresholds_narrowed_to_float32_divide_float32_values_as_before",
    ),
    "C11 SQL's types were narrowed in silence": (
        "sklearn-linear-large-integers", "xgboost-large-integers", "sklearn-logistic-flags",
        "score/test_scorer.py::test_a_type_that_would_lose_information_is_refused",
        "score/test_scorer.py::test_decimals_round_as_java_rounds_them",
    ),
    "C12 column names were changed, and two became one": (
        "convert/test_sklearn.py::test_any_column_name_works",
        "spark/test_table_form.py::test_columns_with_spaces_dots_backticks_and_other_letters",
        "test_pitfalls.py::test_columns_whose_names_differ_by_a_dot_stay_two",
    ),
    "C13 columns were bound by their place, and two probabilities stood in one column": (
        "spark/test_binding.py::test_columns_bind_by_name_whatever_their_order_and_company",
        "convert/test_sklearn.py::test_columns_are_found_by_name_in_another_order",
        "sklearn-logistic",
    ),
    "C14 one matrix for all columns changed the types behind a ColumnTransformer": (
        "xgboost-customers", "lightgbm-customers", "sklearn-integers-one-hot",
    ),
    "C15 XGBoost: base_score is an array": (
        "xgboost-base-score", "xgboost-two-targets", "xgboost-three",
    ),
    "C16 XGBoost: probabilities of two classes were wrong": (
        "xgboost-binary", "xgboost-rare", "xgboost-booster-binary",
    ),
    "C17 XGBoost: another marker than NaN, and DART's weights, were not seen": (
        "xgboost-zero-is-missing", "xgboost-marked-missing", "xgboost-dart",
    ),
    "C18 XGBoost: columns had to be f0, f1 …": (
        "convert/test_xgboost.py::test_columns_may_have_any_name",
    ),
    "C19 trees after the best iteration counted": (
        "xgboost-early-stopping", "xgboost-booster-early-stopping", "lightgbm-early-stopping",
        "catboost-early-stopping",
    ),
    "C20 a release of the runtime scores otherwise": (
        "test_golden.py::"
        "test_a_release_that_scores_otherwise_is_refused_and_the_release_to_install_is_named",
        "sklearn-tree-one-leaf", "sklearn-forest-rare", "lightgbm-rare",
    ),
    "C21 a tuned threshold was applied wrongly": (
        "sklearn-tuned-threshold", "sklearn-fixed-threshold",
        "convert/test_sklearn.py::test_a_moved_threshold_moves_the_label",
    ),
    "C22 versions that were never tried together": (
        "test_readme.py::test_every_framework_is_in_the_table",
    ),
    "C23 Spark ML: unseen and missing values were passed on": (
        "spark-customers-error", "spark-customers-skip", "spark-customers-keep-all",
        "spark-imputed-marker",
    ),
    "C24 Spark ML: stages without a converter failed half-way": (
        "spark-robust", "spark-quantiles", "spark-fm", "spark-isotonic", "spark-mixture",
        "convert/test_spark.py::test_what_is_refused_is_named",
    ),
    "C25 Spark ML: files were left behind and attributes printed": (
        "convert/test_spark.py::test_nothing_is_printed",
    ),
    "C26 scikit-learn: estimators without a converter": (
        "test_coverage.py::test_each_row_is_what_becomes_of_the_model", "sklearn-dummy",
    ),
    "C27 Keras 3 broke its converter": (
        "keras-functional", "keras-nested",
        "convert/test_files.py::test_a_keras_file_scores_as_the_model_that_was_saved",
    ),
    "C28 CatBoost: categories were not exported": (
        "catboost-categories", "catboost-categories-together", "onnx-catboost-classifier",
    ),
    "C29 an objective of the author's own gave raw scores": (
        "xgboost-custom-objective", "lightgbm-custom-objective", "catboost-custom-objective",
    ),
    "C30 a graph beyond 2 GB": (
        "test_pitfalls.py::test_a_graph_beyond_two_gigabytes_is_refused_with_what_to_do",
    ),
    "C31 a second opinion of the same making": (
        "parity/test_opinion.py::test_a_wrong_conversion_is_told_from_a_wrong_runtime",
        "parity/test_opinion.py::test_a_runtime_that_differs_from_the_evaluator_is_at_fault",
    ),
}  # fmt: skip


def test_every_pitfall_is_watched() -> None:
    assert [pitfall.split()[0] for pitfall in PITFALLS] == [f"C{i}" for i in range(1, 32)]


@pytest.mark.parametrize("pitfall", PITFALLS)
def test_its_watchers_are_there(pitfall: str) -> None:
    for watcher in PITFALLS[pitfall]:
        file, _, name = watcher.partition("::")
        if name:
            tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
            assert name in {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
        else:
            assert watcher in KNOWN


def test_columns_whose_names_differ_by_a_dot_stay_two() -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"home.dest": rng.normal(size=60), "home_dest": rng.normal(size=60)})
    original = LogisticRegression().fit(rows, rows["home.dest"] > rows["home_dest"])
    model = sqlml.convert(original, sample=rows)
    assert [i.name for i in model.signature.inputs] == ["home.dest", "home_dest"]
    assert sqlml.verify(model, original, rows).ok


def test_a_graph_beyond_two_gigabytes_is_refused_with_what_to_do() -> None:
    model = onnx.ModelProto()
    model.graph.initializer.add().raw_data = bytes(2**31 + 1)
    with pytest.raises(NotConvertibleError, match=r"larger than the 2 GB .* fewer"):
        sqlml.convert(model, sample=np.zeros((3, 1)))

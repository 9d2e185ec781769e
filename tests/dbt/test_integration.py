"""dbt scores over Thrift as the models' author would, and each version scores each row once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

import sqlml
from sqlml import registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from .project import Project, Run

    Rows = Callable[[str], pd.DataFrame]

MODELS = {
    "stg_customers",
    "churn_live",
    "churn_scores",
    "spend_scores",
    "churn_first_version",
    "likely_to_leave",
    "spend_by_country",
}
TESTS = {
    "customers_of_unknown_age_are_not_likely_to_leave",
    "first_version_scores_as_expected",
    "not_null_churn_scores_customer_id",
    "unique_churn_scores_customer_id",
    "spend_is_plausible",
    "sqlml_accepted_prediction_range_churn_live_probability__1__0",
    "sqlml_no_null_predictions_churn_scores_prediction",
    "sqlml_no_null_predictions_spend_scores_spend_prediction",
    "sqlml_parity_ok_churn_live_churn",
}


def succeeded(run: Run) -> bool:
    assert run.code == 0, run.output
    return True


def agree(scored: pd.DataFrame, model: Any, train: dict[str, Any]) -> None:
    """The scores of churn are scikit-learn's; a customer of unknown age has none."""
    known = scored["age"].notna()
    inputs = scored.loc[known, train["INPUTS"]]
    assert scored.loc[known, "prediction"].tolist() == model.predict(inputs).tolist()
    expected = model.predict_proba(inputs).max(axis=1)
    np.testing.assert_allclose(scored.loc[known, "probability"].astype(float), expected, rtol=1e-9)
    assert scored.loc[~known, ["prediction", "probability"]].isna().all(axis=None)


def test_a_build_passes(first_build: Run) -> None:
    """Seeds, models, generic tests, a singular test and a unit test: everything that is there."""
    assert succeeded(first_build)
    assert first_build.statuses() == (
        dict.fromkeys(MODELS | {"customers", "expected_churn"}, "success")
        | dict.fromkeys(TESTS, "pass")
    )


def test_models_score_at_once(first_build: Run) -> None:
    """Several threads of dbt score at the same time."""

    def executed(name: str) -> pd.Interval:
        (timing,) = (t for t in first_build.results[name]["timing"] if t["name"] == "execute")
        return pd.Interval(pd.Timestamp(timing["started_at"]), pd.Timestamp(timing["completed_at"]))

    assert executed("churn_scores").overlaps(executed("spend_scores"))
    assert executed("churn_scores").overlaps(executed("churn_first_version"))


@pytest.mark.usefixtures("first_build")
def test_classifications_are_those_of_scikit_learn(
    rows: Rows, train: dict[str, Any], customers: pd.DataFrame
) -> None:
    """Each customer's label and probability; the rows come through whole."""
    scored = rows("churn_scores").head(len(customers))
    pd.testing.assert_frame_equal(
        scored[["age", "tenure", "plan", "country"]],
        customers[["age", "tenure", "plan", "country"]],
    )
    agree(
        rows("churn_first_version").merge(scored[["customer_id", *train["INPUTS"]]]),
        train["churn"](customers.dropna()),
        train,
    )


@pytest.mark.usefixtures("first_build")
def test_regressions_are_those_of_scikit_learn(
    rows: Rows, train: dict[str, Any], customers: pd.DataFrame
) -> None:
    """Each customer's spend, under the prefix, for unknown ages too."""
    scored = rows("spend_scores")
    expected = train["spend"](customers).predict(scored[train["INPUTS"]])
    np.testing.assert_allclose(scored["spend_prediction"], expected, rtol=1e-9)


@pytest.mark.usefixtures("first_build")
def test_a_query_is_scored(rows: Rows, train: dict[str, Any], customers: pd.DataFrame) -> None:
    """The relation may be the text of a query: older customers who stayed longer."""
    dutch = customers[customers["country"] == "NL"]
    later = dutch[train["INPUTS"]].assign(age=dutch["age"] + 1, tenure=dutch["tenure"] + 12)
    expected = train["spend"](customers).predict(later).sum()
    found = rows("(SELECT 0 AS customer_id, * FROM spend_by_country)")
    assert found[["country", "customers"]].values.tolist() == [["NL", len(dutch)]]
    assert found["spend"].item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.usefixtures("first_build")
def test_a_row_says_which_version_scored_it(
    rows: Rows, published: dict[str, sqlml.PublishedModel]
) -> None:
    """Name, version, checksum and time, in a scored table and through the macros."""
    for table, model in {"spend_scores": "spend", "churn_first_version": "churn"}.items():
        scored = rows(table)
        assert set(scored["model_name"]) == {model}
        assert set(scored["model_version"]) == {published[model].version}
        assert set(scored["model_sha256"]) == {published[model].sha256}
        assert scored["scored_at"].notna().all()


@pytest.mark.usefixtures("first_build")
def test_a_second_build_scores_nothing_anew(project: Project, rows: Rows) -> None:
    """The rows stay as they were, and so does the time at which each was scored."""
    tables = ("churn_scores", "spend_scores")
    before = {table: rows(table) for table in tables}
    assert succeeded(project.dbt("build"))
    for table in tables:
        pd.testing.assert_frame_equal(rows(table), before[table])


@pytest.mark.usefixtures("first_build")
def test_new_rows_alone_are_scored(project: Project, rows: Rows) -> None:
    """A customer who came since the last run is added; the others are left alone."""
    before = {table: rows(table) for table in ("churn_scores", "spend_scores")}
    with (project.directory / "seeds" / "customers.csv").open("a") as seed:
        seed.write("1001,55.0,3,basic,NL,yes,12.5\n")
    assert succeeded(project.dbt("seed", "--select", "customers"))
    assert succeeded(project.dbt("run", "--select", *before))
    for table, known in before.items():
        after = rows(table)
        pd.testing.assert_frame_equal(after.head(len(known)), known)
        assert after["customer_id"].tolist()[len(known) :] == [1001]
        assert after["scored_at"].iloc[-1] > known["scored_at"].max()


@pytest.mark.usefixtures("first_build")
def test_a_new_version_scores_every_row_once(
    project: Project, rows: Rows, train: dict[str, Any], customers: pd.DataFrame
) -> None:
    """A view has it at once, a scored table after a run; the run after that scores nothing."""
    before = rows("churn_scores")
    known = customers.dropna()
    model = train["churn"](known, regularisation=50.0)
    version = sqlml.publish(model, "churn", sample=known[train["INPUTS"]])

    agree(rows("churn_live").merge(before[["customer_id", *train["INPUTS"]]]), model, train)

    assert succeeded(project.dbt("run", "--select", "churn_scores"))
    after = rows("churn_scores")
    assert after["customer_id"].tolist() == before["customer_id"].tolist()
    assert set(after["model_version"]) == {version.version} != set(before["model_version"])
    assert set(after["model_sha256"]) == {version.sha256}
    assert after["scored_at"].min() > before["scored_at"].max()
    agree(after, model, train)

    assert succeeded(project.dbt("run", "--select", "churn_scores"))
    pd.testing.assert_frame_equal(rows("churn_scores"), after)


@pytest.mark.usefixtures("first_build")
def test_a_run_scores_with_one_version_whatever_is_promoted_meanwhile(
    project: Project, rows: Rows
) -> None:
    """The version that a run begins with scores its rows, and is the one that they name."""
    parity = json.dumps(registry.parity(registry.resolve("churn/1")))
    registry.log(sqlml.load("churn/1"), "promoted", parity_json=parity, alias="champion")
    registry.log(sqlml.load("spend/1"), "promoted", parity_json=parity)
    model = """
        {{ config(
            materialized='scored',
            unique_key='customer_id',
            meta={'scored_by': 'promoted@champion'},
            pre_hook='ALTER MODEL promoted SET ALIAS champion TO VERSION 2'
        ) }}
        select * from {{ ref('stg_customers') }}
        """
    with project.also({"models/promoted.sql": model}):
        for version, prediction in ((1, str), (2, float)):
            assert succeeded(project.dbt("run", "--select", "promoted"))
            scored = rows("promoted").dropna(subset="age")
            assert set(scored["model_version"]) == {version}
            assert set(scored["prediction"].map(type)) == {prediction}


@pytest.mark.usefixtures("first_build")
def test_a_table_stays_where_scoring_it_anew_fails(project: Project, rows: Rows) -> None:
    """A run that fails half-way leaves the scores of the last one."""
    before = rows("spend_scores")
    good = (project.directory / "models" / "spend_scores.sql").read_text()
    broken = good.replace(
        "tenure,", "if(customer_id = 7, raise_error('broken'), tenure) as tenure,"
    )
    with project.also({"models/spend_scores.sql": broken}):
        run = project.dbt("run", "--select", "spend_scores", "--full-refresh")
    assert run.statuses() == {"spend_scores": "error"}
    assert "[USER_RAISED_EXCEPTION] broken" in run.output
    pd.testing.assert_frame_equal(rows("spend_scores"), before)


@pytest.mark.usefixtures("first_build")
def test_bad_scores_fail_the_build_by_name(project: Project) -> None:
    """Each generic test finds what it is for, and dbt's output names it with the number of rows."""
    report = registry.parity(registry.resolve("churn/1")) | {"ok": False}
    registry.log(sqlml.load("churn/1"), "doubtful", parity_json=json.dumps(report))
    suspects = {
        "models/suspect.sql": """
            select customer_id, prediction, probability, double('NaN') as not_a_number
            from {{ sqlml.predict('churn/1', ref('stg_customers')) }}
            where customer_id <= 300
            """,
        "models/suspect.yml": """
            models:
              - name: suspect
                data_tests:
                  - sqlml.parity_ok: {name: doubtful_model, arguments: {scored_by: doubtful}}
                  - sqlml.no_null_predictions: {name: without_score}
                  - sqlml.accepted_prediction_range:
                      name: too_sure
                      arguments: {column_name: probability, max_value: 0.6}
                  - sqlml.accepted_prediction_range:
                      name: too_unsure
                      arguments: {column_name: probability, min_value: 0.6}
                columns:
                  - name: not_a_number
                    data_tests:
                      - sqlml.no_null_predictions: {name: nan_is_no_score}
                      - sqlml.accepted_prediction_range: {name: nan_is_in_no_range}
            """,
    }
    with project.also(suspects):
        run = project.dbt("build", "--select", "suspect")
    assert run.code == 1
    assert run.statuses().pop("suspect") == "success"
    scores = pd.read_csv(project.directory / "seeds" / "expected_churn.csv")["probability"]
    rows_that_fail = {
        "doubtful_model": 1,
        "without_score": 4,
        "too_sure": (scores > 0.6).sum(),
        "too_unsure": (scores < 0.6).sum(),
        "nan_is_no_score": 300,
        "nan_is_in_no_range": 300,
    }
    found = {name: r["failures"] for name, r in run.results.items() if r["status"] == "fail"}
    assert found == rows_that_fail
    for name in rows_that_fail:
        assert f"Failure in test {name}" in run.output


@pytest.mark.usefixtures("first_build")
def test_errors_are_one_line(project: Project) -> None:
    """Of a misspelt model, in a view and in a scored table, and of a scored table without a key."""
    rest = "select * from {{ ref('stg_customers') }}"
    broken = {
        "models/misspelt_live.sql": (
            "select * from {{ sqlml.predict('chrun', ref('stg_customers')) }}"
        ),
        "models/misspelt_scored.sql": (
            "{{ config(materialized='scored', unique_key='customer_id',"
            " meta={'scored_by': 'chrun'}) }} " + rest
        ),
        "models/keyless.sql": (
            "{{ config(materialized='scored', meta={'scored_by': 'churn'}) }} " + rest
        ),
    }
    with project.also(broken):
        run = project.dbt("run", "--select", "misspelt_live", "misspelt_scored", "keyless")
    assert run.code == 1
    assert set(run.statuses().values()) == {"error"}
    for name in ("misspelt_live", "misspelt_scored"):
        lines = [line.strip() for line in run.results[name]["message"].splitlines()]
        expected = "[MODEL_NOT_FOUND] No model 'chrun'. Did you mean 'churn'?"
        assert [line for line in lines if line.startswith(expected)], run.output
        assert [line for line in lines if line.startswith(("at ", "Caused by", "org."))] == []
    assert "[ARGUMENT_INVALID] A scored model has no unique_key" in run.output


@pytest.mark.parametrize(
    ("call", "condition"),
    [
        ("""sqlml.predict("churn', TABLE(x)) --", ref('customers'))""", "REFERENCE_NOT_ALLOWED"),
        ("""sqlml.predict('churn', ref('customers'), prefix="x') --")""", "REFERENCE_NOT_ALLOWED"),
        ("sqlml.model_columns('churn')", "ARGUMENT_INVALID"),
    ],
)
def test_unsafe_arguments_are_refused_before_any_sql(
    project: Project, call: str, condition: str
) -> None:
    """A name cannot carry SQL, and metadata cannot be of another version than the scores."""
    with project.also({"models/unsafe.sql": f"select * from {{{{ {call} }}}}"}):
        run = project.dbt("parse")
    assert run.code == 2
    assert f"[{condition}]" in run.output


@pytest.mark.usefixtures("first_build")
def test_the_documentation_has_the_scored_columns(project: Project) -> None:
    """`dbt docs generate` finds the outputs and what the package says of its macros."""
    assert succeeded(project.dbt("docs", "generate"))
    target = project.directory / "target"
    catalog = json.loads((target / "catalog.json").read_text())["nodes"]
    columns = catalog["model.sqlml_integration.churn_scores"]["columns"]
    assert columns["probability"]["type"] == "double"
    assert {"probabilities", "model_version", "model_sha256", "scored_at"} <= columns.keys()
    macros = json.loads((target / "manifest.json").read_text())["macros"]
    assert "outputs" in macros["macro.sqlml.predict"]["description"]

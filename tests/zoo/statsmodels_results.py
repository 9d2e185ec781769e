"""statsmodels: linear, generalised linear and discrete models, with a formula and without."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import statsmodels.api as sm
import statsmodels.formula.api as smf

from . import data
from .case import Answer, Case, trained

if TYPE_CHECKING:
    from collections.abc import Callable

sql_names = partial(data.numbers, names=data.SQL_NAMES)
whole = partial(data.counts, most=4)


def ask(results: Any, rows: Any) -> Answer:
    return Answer(np.asarray(results.predict(rows), dtype="float64"))


def of(model: Any, **options: Any) -> Callable[[Any, Any, Any], Any]:
    """The usual way: columns, one of ones among them."""
    fitting = {} if model in (sm.OLS, sm.WLS, sm.GLS, sm.GLM) else {"disp": 0}

    def fit(_: None, X: Any, y: Any) -> Any:
        return model(y, X, **options).fit(**fitting)

    return fit


def by_formula(model: Any, right: str, **options: Any) -> Callable[[Any, Any, Any], Any]:
    fitting = {} if model in (smf.ols, smf.wls, smf.glm) else {"disp": 0}

    def fit(_: None, X: Any, y: Any) -> Any:
        frame = X.assign(target=y)
        return model(f"target ~ {right}", data=frame, **options).fit(**fitting)

    return fit


def results(
    table: Any, target: Any, fit: Callable[[Any, Any, Any], Any], **more: Any
) -> Callable[[], Any]:
    return trained(lambda: None, table, target, fit=fit, ask=ask, **more)


def with_constant(n: int, seed: int) -> Any:
    return sm.add_constant(data.numbers(n, seed))


def few_plans(n: int, seed: int) -> Any:
    """Categories as text, as whole numbers and as booleans, and numbers."""
    frame = data.customers(n, seed)
    return frame[["age", "plan", "active"]].assign(size=frame["tenure"] % 4)


EVERYTHING = "age + plan + C(size) + active + age:C(plan, Sum) + C(size):active"

STATSMODELS = (
    Case("statsmodels-ols", results(with_constant, data.number, of(sm.OLS))),
    Case("statsmodels-ols-names", results(sql_names, data.number, of(sm.OLS))),
    Case("statsmodels-ols-array", results(data.numbers, data.number, of(sm.OLS), as_array=True)),
    Case(
        "statsmodels-wls",
        results(with_constant, data.number, lambda _, X, y: sm.WLS(y, X, weights=y * y).fit()),
    ),
    Case("statsmodels-gls", results(data.counts, data.number, of(sm.GLS, sigma=2.0))),
    Case("statsmodels-logit", results(with_constant, data.zero_one, of(sm.Logit))),
    Case("statsmodels-probit", results(with_constant, data.zero_one, of(sm.Probit))),
    Case("statsmodels-mnlogit", results(with_constant, data.zero_one_two, of(sm.MNLogit))),
    Case("statsmodels-poisson", results(with_constant, data.events, of(sm.Poisson))),
    Case(
        "statsmodels-negative-binomial",
        results(with_constant, data.events, of(sm.NegativeBinomial)),
        why="its dispersion stands among the coefficients",
    ),
    Case(
        "statsmodels-glm-binomial",
        results(with_constant, data.zero_one, of(sm.GLM, family=sm.families.Binomial())),
        why="predict gives a probability, no label",
    ),
    Case(
        "statsmodels-glm-gamma",
        results(
            with_constant,
            data.money,
            of(sm.GLM, family=sm.families.Gamma(sm.families.links.Log())),
        ),
        why="the link was left out",
    ),
    Case(
        "statsmodels-formula",
        results(few_plans, data.number, by_formula(smf.ols, EVERYTHING)),
        why="categories, contrasts and interactions, in patsy's order of columns",
    ),
    Case(
        "statsmodels-formula-names",
        results(
            partial(data.numbers, names=["home.dest", "größe"], width=2),
            data.zero_one,
            by_formula(smf.logit, "Q('home.dest') + Q('größe')"),
        ),
    ),
    Case(
        "statsmodels-formula-no-constant",
        results(
            whole,
            data.events,
            by_formula(smf.glm, "n0 * n1 + C(n2) + n3 - 1", family=sm.families.Poisson()),
        ),
        why="without an intercept the first category has a column",
    ),
)

STATSMODELS_REFUSED = (
    Case(
        "statsmodels-formula-function",
        results(data.customers, data.number, by_formula(smf.ols, "np.log(income) + age")),
        why="any Python code",
    ),
    Case(
        "statsmodels-robust",
        results(with_constant, data.number, lambda _, X, y: sm.RLM(y, X).fit()),
    ),
)

"""statsmodels' results, converted, give what predict gives."""

from __future__ import annotations

import warnings

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy.special import ndtr
from statsmodels.genmod.families import links

from sqlml.convert import convert
from sqlml.convert.graph import DOUBLE, Graph
from sqlml.convert.special import arctan, normal_cdf
from sqlml.errors import NotConvertibleError, SampleError

from .agreement import assert_agrees, scores

warnings.filterwarnings("ignore", module="statsmodels")

N = 200
RANDOM = np.random.default_rng(5)
X = pd.DataFrame(RANDOM.normal(size=(N, 3)), columns=["a", "b", "c"])
BETA = np.array([0.3, -0.2, 0.1])
Y = X.to_numpy() @ BETA + RANDOM.normal(size=N) * 0.1
PEOPLE = X.assign(
    plan=RANDOM.choice(["basic", "plus", "pro"], N), size=RANDOM.integers(0, 4, N), y=Y
)


def computed(function, values):
    """A graph function on the values, by ONNX Runtime."""
    g = Graph()
    g.output("y", function(g, g.input("x", DOUBLE)), DOUBLE, 1)
    session = onnxruntime.InferenceSession(g.finish().SerializeToString())
    return session.run(None, {"x": np.asarray(values, dtype="float64")[:, None]})[0].ravel()


GRID = np.concatenate(
    [np.linspace(-40, 40, 4001), np.linspace(-1.5, 1.5, 501), [1e-300, 1e300, np.inf, -np.inf]]
)


@pytest.mark.parametrize(("ours", "truth"), [(normal_cdf, ndtr), (arctan, np.arctan)])
def test_special_functions_are_those_of_scipy(ours, truth):
    """Relative to the value, in the tails too: down to 1e-300."""
    np.testing.assert_allclose(computed(ours, GRID), truth(GRID), rtol=1e-12, atol=1e-300)
    assert np.isnan(computed(ours, [np.nan])).all()


LINKS = {
    "Logit": links.Logit(),
    "Probit": links.Probit(),
    "Cauchy": links.Cauchy(),
    "CLogLog": links.CLogLog(),
    "LogLog": links.LogLog(),
    "Log": links.Log(),
    "LogC": links.LogC(),
    "Identity": links.Identity(),
    "Sqrt": links.Sqrt(),
    "InversePower": links.InversePower(),
    "InverseSquared": links.InverseSquared(),
    "Power": links.Power(3.0),
    "NegativeBinomial": links.NegativeBinomial(0.7),
}


@pytest.mark.parametrize("link", LINKS)
def test_every_link_is_inverted_as_statsmodels_does(link):
    """Sums between 1 and 2 where a link wants them positive; predict takes any."""
    positive = ("Sqrt", "InversePower", "InverseSquared", "Power")
    sign = -1.0 if link in ("LogC", "NegativeBinomial") else 1.0
    shift = 1.5 if link in positive else (-1.5 if sign < 0 else 0.1)
    exog = sm.add_constant(X * 0.2)
    start = np.array([shift, *BETA])
    mean = LINKS[link].inverse(exog.to_numpy() @ start) + RANDOM.normal(size=N) * 1e-3
    model = sm.GLM(mean, exog, family=sm.families.Gaussian(LINKS[link], check_link=False))
    assert_agrees(model.fit(start_params=start, maxiter=3), exog)


FAMILIES = {
    "Gaussian": (sm.families.Gaussian(), Y),
    "Binomial": (sm.families.Binomial(), (Y > 0) * 1.0),
    "Poisson": (sm.families.Poisson(), np.round(np.exp(Y))),
    "Gamma": (sm.families.Gamma(), np.exp(Y)),
    "InverseGaussian": (sm.families.InverseGaussian(), 1 + 0.1 * np.exp(Y)),
    "NegativeBinomial": (sm.families.NegativeBinomial(alpha=0.5), np.round(np.exp(Y))),
    "Tweedie": (sm.families.Tweedie(var_power=1.5), np.exp(Y)),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_its_own_link(family):
    kind, y = FAMILIES[family]
    exog = sm.add_constant(X)
    assert_agrees(sm.GLM(y, exog, family=kind).fit(), exog)


def test_outcomes_of_a_multinomial_model_are_columns():
    """Also where the sums overflow: predict subtracts nothing before the powers."""
    exog = sm.add_constant(X)
    y = np.digitize(Y, [-0.1, 0.1])
    results = sm.MNLogit(y, exog).fit(disp=0)
    model = assert_agrees(results, exog)
    assert [o.name for o in model.signature.outputs] == [f"prediction_{i}" for i in (1, 2, 3)]
    large = exog * 2000
    with np.errstate(all="ignore"):
        expected = results.predict(large).to_numpy()
    assert np.isnan(expected).any()
    np.testing.assert_allclose(scores(model, large)["prediction"], expected, atol=1e-9)


@pytest.mark.parametrize("method", ["nb1", "nb2", "geometric"])
def test_a_dispersion_is_no_coefficient(method):
    exog = sm.add_constant(X)
    y = RANDOM.poisson(np.exp(Y))
    results = sm.NegativeBinomial(y, exog, loglike_method=method).fit(disp=0, maxiter=200)
    assert_agrees(results, exog)


def test_regularised_results_are_scored_too():
    assert_agrees(sm.OLS(Y, X).fit_regularized(alpha=0.01), X)
    assert_agrees(sm.Logit((Y > 0) * 1.0, X).fit_regularized(alpha=0.1, disp=0), X)


def test_results_come_back_from_mlflow_with_their_formula(tmp_path):
    """statsmodels reads a formula again when results are unpickled."""
    smf.ols("y ~ a + C(plan)", data=PEOPLE).fit().save(str(tmp_path / "model"))
    results = sm.load(str(tmp_path / "model"))
    rows = PEOPLE[["plan", "a"]]
    model = convert(results, sample=rows)
    assert [i.categories for i in model.signature.inputs] == [("basic", "plus", "pro", "nan"), None]


@pytest.mark.parametrize("data_in", ["frame", "array"])
def test_an_offset_is_in_the_training_only(data_in):
    """predict(exog) leaves it out, and so does the score."""
    exog = X if data_in == "frame" else X.to_numpy()
    y = RANDOM.poisson(np.exp(Y))
    assert_agrees(sm.Poisson(y, exog, exposure=np.full(N, 7.0)).fit(disp=0), exog)
    family = sm.families.Poisson()
    assert_agrees(sm.GLM(y, exog, family=family, offset=np.full(N, 0.5)).fit(), exog)


def formula(right):
    return smf.ols(f"y ~ {right}", data=PEOPLE).fit()


@pytest.mark.parametrize(
    ("right", "term"),
    [
        ("a + np.exp(b)", "np.exp(b)"),
        ("a + I(b ** 2)", "I(b ** 2)"),
        ("a + center(b)", "center(b)"),
        ("a + a:np.abs(b)", "a:np.abs(b)"),
        ("a + C(np.round(b))", "C(np.round(b))"),
    ],
)
def test_a_term_that_is_code_is_named(right, term):
    with pytest.raises(NotConvertibleError, match="of its formula computes") as raised:
        convert(formula(right), sample=PEOPLE[["a", "b"]])
    assert f"term {term} of its formula" in str(raised.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["a", "plan", "y"], "does not use y"),
        (["a", "y"], "uses 'plan'"),
    ],
)
def test_the_sample_has_the_columns_of_the_formula(columns, message):
    """In any order, but neither fewer nor more: a column more is often the target."""
    results = formula("a + plan")
    convert(results, sample=PEOPLE[["plan", "a"]])
    with pytest.raises(SampleError, match=message):
        convert(results, sample=PEOPLE[columns])


def test_columns_without_a_formula_keep_their_order():
    """statsmodels takes them by position, whatever they are called."""
    results = sm.OLS(Y, X).fit()
    with pytest.raises(SampleError, match="in the order of its training"):
        convert(results, sample=X[["b", "a", "c"]])
    with pytest.raises(SampleError, match="3 columns"):
        convert(sm.OLS(Y, X.to_numpy()).fit(), sample=sm.add_constant(X).to_numpy())


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: sm.OLS(Y, X), "not trained"),
        (lambda: sm.RLM(Y, X).fit(), "its predict has no form"),
        (lambda: formula("1"), "no inputs"),
    ],
)
def test_other_models_are_refused(make, reason):
    with pytest.raises(NotConvertibleError, match=reason):
        convert(make(), sample=X)


def test_a_formula_read_by_formulaic_is_refused():
    import statsmodels.formula

    options = statsmodels.formula.options
    before = options.formula_engine
    options.formula_engine = "formulaic"
    try:
        results = formula("a + b")
    finally:
        options.formula_engine = before
    with pytest.raises(NotConvertibleError, match="formulaic"):
        convert(results, sample=PEOPLE[["a", "b"]])

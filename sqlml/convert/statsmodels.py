"""statsmodels → ONNX: the results of linear, generalised linear and discrete models, in double.

What is scored is `results.predict(exog)`: the mean. Of a binary model that is a probability
(one number, no label), of MNLogit one for each outcome. A formula's design matrix is built as
patsy built it for training. An offset or an exposure that a model was trained with is not in
predict(exog), and not in its score here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.convert.graph import DOUBLE, STRING, Graph, wire_of
from sqlml.convert.links import row_sum, sigmoid
from sqlml.convert.special import arctan, normal_cdf
from sqlml.errors import DependencyMissingError, NotConvertibleError, listed

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlml.convert import Answer
    from sqlml.model import ScoringModel
    from sqlml.sample import Sample

    Link = Callable[[Graph, str], str]


def recognises(model: object) -> bool:
    """Anything of statsmodels': what `fit` returned, or a model that nobody fitted."""
    return type(model).__module__.partition(".")[0] == "statsmodels"


def convert(model: Any, sample: Sample) -> ScoringModel:
    """Fitted results as a ScoringModel that computes in double.

    Raises `NotConvertibleError` for other models, links and terms of a formula than those it
    knows, and `SampleError` where the sample's columns are not those of the training.
    """
    from sqlml.convert.designs import columns_design, formula_design
    from sqlml.model import ScoringModel, Tensor, outputs_of
    from sqlml.signature import Input, Signature

    source = _read(model)
    import statsmodels

    g = Graph()
    for i, column in enumerate(sample.columns):
        g.input(f"in{i}", STRING if column.type == "STRING" else DOUBLE)
    if source.spec is None:
        design = columns_design(g, source.kind, sample, source.names, len(source.coefficients))
    else:
        design = formula_design(g, source.kind, sample, source.spec)
    result = source.mean(g, design.product(g, source.kind, source.coefficients))
    tensors = (Tensor("prediction", "DOUBLE", source.outputs if source.outputs > 1 else None),)
    g.output("prediction", result, DOUBLE, source.outputs)
    made = g.finish()
    inputs = tuple(
        Input(c.name, c.type, wire_of(element), categories=design.categories.get(i))
        for i, (c, element) in enumerate(zip(sample.columns, g.inputs.values(), strict=True))
    )
    return ScoringModel(
        onnx=made.SerializeToString(deterministic=True),
        signature=Signature(inputs, outputs_of("regression", tensors)),
        task="regression",
        tensors=tensors,
        metadata={
            "framework": "statsmodels",
            "estimator": source.kind,
            "versions": {"statsmodels": statsmodels.__version__},
        },
    )


def answer(model: Any, rows: Any) -> Answer:
    """The results' own predict."""
    from sqlml.convert import Answer

    return Answer(np.asarray(model.predict(rows), dtype=np.float64))


@dataclass(frozen=True, slots=True)
class _Source:
    """The facts of a fitted model."""

    kind: str
    coefficients: np.ndarray[Any, Any]
    """[columns of the design, sums of a row]."""
    mean: Link
    """From the sums, [N, K], to what predict gives."""
    outputs: int
    names: list[str] | None
    """Of the columns that it was trained on; None for an array's."""
    spec: Any
    """patsy's description of the design; None without a formula."""


def _read(results: Any) -> _Source:
    try:
        from statsmodels.base.model import Results
    except ImportError as error:
        raise DependencyMissingError("statsmodels models", "statsmodels") from error
    inner = getattr(results, "_results", results)
    kind = type(getattr(inner, "model", results)).__name__
    if not isinstance(inner, Results):
        raise NotConvertibleError(kind, "it is not trained.", "Give what fit() returned.")
    model = inner.model
    if type(inner).predict is not Results.predict or kind not in _MEANS:
        raise NotConvertibleError(
            kind, "its predict has no form here.", f"Known are {listed(sorted(_MEANS), 20)}."
        )
    # A negative binomial's dispersion stands behind the coefficients.
    count = len(inner.params) - getattr(model, "k_extra", 0)
    coefficients = np.asarray(inner.params, dtype=np.float64)[:count].reshape(count, -1)
    labelled = type(model.data).__name__ == "PandasData"
    return _Source(
        kind,
        coefficients,
        _MEANS[kind](model),
        coefficients.shape[1] + (kind == "MNLogit"),
        [str(name) for name in model.data.xnames[:count]] if labelled else None,
        _spec(kind, model),
    )


def _spec(kind: str, model: Any) -> Any:
    if not hasattr(model, "formula"):
        return None
    spec = getattr(model, "model_spec", None) or model.data.model_spec
    if type(spec).__module__.partition(".")[0] != "patsy":
        raise NotConvertibleError(
            kind,
            "its formula was read by formulaic.",
            "Train with statsmodels.formula.options.formula_engine = 'patsy', the default.",
        )
    return spec


# ---- means of the sum ------------------------------------------------------------------


def _one(g: Graph) -> str:
    return g.const(np.array([1.0]))


def _exp(g: Graph, x: str) -> str:
    return g.node("Exp", x)


def _identity(g: Graph, x: str) -> str:
    return x


def _shares(g: Graph, x: str) -> str:
    """MNLogit.cdf: the first outcome's sum is 0; nothing is subtracted before the powers."""
    powers = g.concat([g.rows_like([1.0], x), g.node("Exp", x)])
    return g.node("Div", powers, row_sum(g, powers))


def _power(link: Any) -> Link:
    """Power.inverse; the power 1 is the identity."""
    if link.power == 1:
        return _identity
    exponent = 1.0 / float(link.power)
    return lambda g, x: g.node("Pow", x, g.const(np.array([exponent])))


def _log_complement(g: Graph, x: str) -> str:
    return g.node("Sub", _one(g), g.node("Exp", x))


def _complementary_log_log(g: Graph, x: str) -> str:
    return g.node("Sub", _one(g), g.node("Exp", g.node("Neg", g.node("Exp", x))))


def _log_log(g: Graph, x: str) -> str:
    return g.node("Exp", g.node("Neg", g.node("Exp", g.node("Neg", x))))


def _cauchy(g: Graph, x: str) -> str:
    turns = g.node("Div", arctan(g, x), g.const(np.array([np.pi])))
    return g.node("Add", turns, g.const(np.array([0.5])))


def _negative_binomial(link: Any) -> Link:
    def inverse(g: Graph, x: str) -> str:
        rest = g.node("Sub", _one(g), g.node("Exp", g.node("Neg", x)))
        scaled = g.node("Mul", rest, g.const(np.array([float(link.alpha)])))
        return g.node("Div", g.const(np.array([-1.0])), scaled)

    return inverse


# statsmodels/genmod/families/links.py: the class of a link → its inverse.
_LINKS: dict[str, Callable[[Any], Link]] = {
    "Logit": lambda link: sigmoid,
    "Probit": lambda link: normal_cdf,
    "Cauchy": lambda link: _cauchy,
    "CLogLog": lambda link: _complementary_log_log,
    "LogLog": lambda link: _log_log,
    "Log": lambda link: _exp,
    "LogC": lambda link: _log_complement,
    **dict.fromkeys(("Identity", "InversePower", "InverseSquared", "Power", "Sqrt"), _power),
    "NegativeBinomial": _negative_binomial,
}


def _generalised(model: Any) -> Link:
    link = model.family.link
    name = type(link).__name__
    known = type(link).__module__ == "statsmodels.genmod.families.links" and name in _LINKS
    if not known or (name == "Probit" and link.dbn.name != "norm"):
        raise NotConvertibleError(
            f"GLM({type(model.family).__name__})",
            f"its link {name} has no form here.",
            f"Known are {listed(sorted(_LINKS), 20)}.",
        )
    return _LINKS[name](link)


# The class of a model → what predict makes of the sums.
_MEANS: dict[str, Callable[[Any], Link]] = {
    "OLS": lambda model: _identity,
    "WLS": lambda model: _identity,
    "GLS": lambda model: _identity,
    "GLM": _generalised,
    "Logit": lambda model: sigmoid,
    "Probit": lambda model: normal_cdf,
    "MNLogit": lambda model: _shares,
    "Poisson": lambda model: _exp,
    "NegativeBinomial": lambda model: _exp,
}

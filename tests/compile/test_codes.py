"""Texts travel as numbers, and the scores are those of the texts, to the bit."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
import pandas as pd
import pyarrow as pa
import pytest
from onnx import TensorProto, helper

import sqlml
from sqlml.compile import prepare, prepare_for_python
from sqlml.compile.codes import as_numbers, coded
from sqlml.model import ScoringModel, Tensor, outputs_of
from sqlml.parity.backends import other_bits
from sqlml.score import Scorer
from sqlml.signature import Input, Signature

WORDS = ["basic", "plus", "größte", "", "nan", "it's"]
ASKED = [*WORDS, "unseen", "BASIC", " basic", "x" * 300, "\N{SEEDLING}", None]


def customers(n: int = 300, missing: bool = False) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": rng.normal(40, 9, n),
            "plan": rng.choice(WORDS, n),
            "city": rng.choice([f"city {i}" for i in range(40)], n),
        }
    )
    if missing:
        frame.loc[::5, "plan"] = np.nan
    return frame


def published(encoder, last, missing: bool = False) -> ScoringModel:
    """A model of numbers and encoded texts, its inputs as publish finds them."""
    from sklearn.compose import make_column_transformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = customers(missing=missing)
    target = rows["age"] + 9 * (rows["plan"] == "plus") + rows["city"].str.len() > 46
    encode = make_column_transformer((StandardScaler(), ["age"]), (encoder, ["plan", "city"]))
    model = make_pipeline(encode, last).fit(rows, target)
    made = sqlml.convert(model, sample=rows)
    report = sqlml.verify(made, model, rows)
    assert report.ok, str(report)
    return dataclasses.replace(made, signature=report.signature)


def encoders():
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

    unknown = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return {
        "refusing": (OneHotEncoder(), False),
        "ignoring": (OneHotEncoder(handle_unknown="ignore"), True),
        "imputed": (make_pipeline(SimpleImputer(strategy="most_frequent"), unknown), True),
        "constant": (
            make_pipeline(
                SimpleImputer(strategy="constant", fill_value="gone"),
                OneHotEncoder(handle_unknown="ignore"),
            ),
            True,
        ),
    }


@pytest.mark.parametrize("encoder", ["refusing", "ignoring", "imputed", "constant"])
@pytest.mark.parametrize("last", ["network", "forest"])
def test_a_text_and_its_number_give_the_same_bits(encoder, last):
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.neural_network import MLPClassifier

    lasts = {
        "network": MLPClassifier((5,), max_iter=30, random_state=0),
        "forest": RandomForestClassifier(20, max_depth=5, random_state=0),
    }
    step, missing = encoders()[encoder]
    model = published(step, lasts[last], missing)
    fields = model.signature.inputs
    asked = [
        (age, plan, city) for age in (20.0, 60.0) for plan in ASKED for city in ("city 3", None)
    ]
    columns = [pa.array(c) for c in zip(*asked, strict=True)]
    for backend in ("onnx", "trees") if last == "forest" else ("onnx",):
        prepared = prepare(model, backend=backend)
        plain = prepare(model, backend=backend, plain=True)
        assert set(prepared.texts) == {1, 2}
        assert not plain.texts
        numbers = [
            as_numbers(columns[i], fields[i], prepared.texts[i]) if i else columns[i]
            for i in prepared.inputs
        ]
        assert [n.type for n in numbers[1:]] == [pa.int16(), pa.int16()]
        by_text = Scorer(plain.model, backend, plain.program, plain.inputs).score(columns)
        by_number = Scorer(prepared.model, backend, prepared.program, prepared.inputs).score(
            numbers
        )
        assert other_bits(by_text, by_number) == []
    assert prepare_for_python(model, plain=True).texts == {}


def graph(*nodes: onnx.NodeProto) -> ScoringModel:
    """A regressor of one text."""
    made = helper.make_graph(
        list(nodes),
        "of a text",
        [helper.make_tensor_value_info("in0", TensorProto.STRING, ["N", 1])],
        [helper.make_tensor_value_info("prediction", TensorProto.DOUBLE, ["N", 1])],
    )
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 5)]
    content = helper.make_model(made, opset_imports=imports, ir_version=10).SerializeToString()
    tensors = (Tensor("prediction", "DOUBLE"),)
    signature = Signature((Input("x", "STRING", "STRING"),), outputs_of("regression", tensors))
    return ScoringModel(content, signature, "regression", tensors)


def test_a_text_with_another_use_stays_a_text():
    lengths = graph(
        helper.make_node("RegexFullMatch", ["in0"], ["matches"], pattern="a.*"),
        helper.make_node("Cast", ["matches"], ["prediction"], to=TensorProto.DOUBLE),
    )
    assert coded(lengths).texts == {}
    assert coded(lengths).model is lengths


def test_a_model_without_texts_is_itself():
    from sklearn.linear_model import LinearRegression

    X = np.arange(6.0).reshape(3, 2)
    model = sqlml.convert(LinearRegression().fit(X, X[:, 0]), sample=X)
    assert coded(model).model is model

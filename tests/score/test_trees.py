"""The tree kernel gives the bits of ONNX Runtime, on each of its paths and in any batch."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import onnx
import pytest
from onnx import helper

import sqlml
from sqlml.compile.forest import program
from sqlml.errors import ModelRejectedError, NotCompilableError
from sqlml.score import kernel, onnxruntime
from sqlml.score.conform import conform, on_the_wire
from sqlml.score.kernel import LEVELS, KernelMissing, library
from sqlml.score.trees import Engine
from tests.forests import (
    EQ,
    GT,
    GTE,
    LEQ,
    LT,
    MEMBER,
    NEQ,
    WIRES,
    alone,
    columns_for,
    grown,
    model_of,
)
from tests.zoo.boosters import LIGHTGBM, XGBOOST
from tests.zoo.sklearn_trees import TREES

PATHS = range(library().sqlml_level() + 1)


def bits(tensors) -> list:
    return [(t.dtype.name, t.shape, t.tobytes()) for t in tensors]


def assert_exact(model, columns, expected=None) -> None:
    """The engine's tensors are those of ONNX Runtime to the last bit, on every path."""
    made = program(model)
    if expected is None:
        expected = onnxruntime.Engine(model, model.onnx).run(columns)
    for path in PATHS:
        found = Engine(model, made, path).run(columns)
        assert bits(found) == bits(expected), LEVELS[path]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "modes", [(LEQ,), (LT,), (GTE,), (GT,), (EQ,), (NEQ,), (LEQ, LT, GTE, GT, EQ, NEQ, MEMBER)]
)
def test_every_mode_of_a_node(modes, dtype):
    for seed in range(4):
        trees = grown(seed, modes=modes)
        model = alone(trees.node(dtype), 5, dtype, 1)
        assert_exact(model, columns_for(model, trees))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "shape",
    [
        {"depth": 1, "trees": 300},
        {"depth": 10, "odds": 1.0, "trees": 2, "features": 3},
        {"depth": 40, "odds": 0.58, "trees": 20},
        {"depth": 13, "odds": 0.97, "trees": 3},  # large enough to walk
        {"depth": 12, "odds": 1.0, "trees": 2, "features": 40},
        {"depth": 6, "features": 150, "trees": 90},
    ],
    ids=str,
)
def test_every_shape_of_tree(shape, dtype):
    trees = grown(1, modes=(LEQ, LT, GTE, GT), **shape)
    features = shape.get("features", 5)
    model = alone(trees.node(dtype), features, dtype, 1)
    assert_exact(model, columns_for(model, trees))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("aggregate", [0, 1, 2, 3], ids=["average", "sum", "min", "max"])
@pytest.mark.parametrize("width", [1, 3])
def test_every_aggregate_of_one_and_several_scores(aggregate, width, dtype):
    for depth in (4, 13):
        trees = grown(5, trees=9, depth=depth, odds=0.95, width=width, modes=(LEQ, LT))
        model = alone(trees.node(dtype, aggregate), 5, dtype, width)
        assert_exact(model, columns_for(model, trees))


def test_trees_of_one_leaf_and_missing_values_without_tracks():
    trees = grown(2, trees=5, modes=(LEQ, NEQ))
    rng = np.random.default_rng(0)
    for _ in range(2):  # a node whose two branches are one leaf
        leaf = trees.leaf(rng, 0)
        trees.roots.append(len(trees.mode))
        for values, value in (
            (trees.feature, 0), (trees.mode, LEQ), (trees.split, 0.0), (trees.missing, 0),
            (trees.true, leaf), (trees.false, leaf),
        ):  # fmt: skip
            values.append(value)
    model = alone(trees.node("float64", tracks=False), 5, "float64", 1)
    assert_exact(model, columns_for(model, trees))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
@pytest.mark.parametrize("width", [1, 2])
def test_the_older_operator_with_base_values(aggregate, width, dtype):
    trees = grown(8, depth=5, width=width, modes=(LEQ, LT, GTE, GT, EQ, NEQ))
    for base in ([], [0.1, -7.25][:width]):
        node = trees.older(dtype, aggregate_function=aggregate, base_values=base)
        model = alone(node, 5, dtype, width, result="float32", ml=3)
        assert_exact(model, columns_for(model, trees))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("labels", [[10, 20, 7], ["a", "b", "c", "d"]], ids=["int", "text"])
def test_the_classifier_of_more_than_two_classes(labels, dtype):
    trees = grown(8, depth=5, trees=30, width=len(labels), modes=(LEQ, LT))
    for base in ([], [0.1, -7.25, 3.0, 0.0][: len(labels)]):
        node = trees.classifier(dtype, labels, base_values=base)
        kind = "BIGINT" if isinstance(labels[0], int) else "STRING"
        concat = helper.make_node("Concat", [f"in{i}" for i in range(5)], ["x"], axis=1)
        outputs = {"label": (kind, None), "y": ("FLOAT", len(labels))}
        model = model_of([concat, node], [WIRES[dtype]] * 5, outputs, ml=3)
        columns = columns_for(model, trees)
        onnx_labels, scores = onnxruntime.Engine(model, model.onnx).run(columns)
        for path in PATHS:
            found_labels, found = Engine(model, program(model), path).run(columns)
            assert found_labels.tolist() == onnx_labels.tolist()
            assert bits([found]) == bits([scores])


@pytest.mark.parametrize("depth", [6, 13])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_has_the_same_bits_in_any_batch(dtype, depth):
    trees = grown(3, depth=depth, odds=0.95, trees=5, modes=(LEQ, LT))
    model = alone(trees.node(dtype), 5, dtype, 1)
    columns = columns_for(model, trees, rows=5000)
    made = program(model)
    for path in PATHS:
        engine = Engine(model, made, path)
        (whole,) = engine.run(columns)
        for size in (1, 2, 7, 15, 16, 17, 63, 64, 65, 200, 511, 512, 513, 1000, 4096, 4097):
            (part,) = engine.run([c[:size] for c in columns])
            assert part.tobytes() == whole[:size].tobytes(), (LEVELS[path], size)
        (strided,) = engine.run([c[::3] for c in columns])
        assert strided.tobytes() == whole[::3].tobytes()


TREE_MODELS = [*TREES, *XGBOOST, *LIGHTGBM]


@pytest.mark.parametrize("case", TREE_MODELS, ids=str)
def test_models_of_every_family(case):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = case.fitted
        model = sqlml.convert(fitted.model, sample=fitted.sample)
    graph = onnx.load_from_string(model.onnx).graph
    if not any(node.op_type == "TreeEnsemble" for node in graph.node):
        with pytest.raises(NotCompilableError, match="no tree ensemble"):
            program(model)
        return
    fields = model.signature.inputs
    table = fitted.table([field.name for field in fields])
    vectors = [conform(on_the_wire(table[f.name], f), f)[0] for f in fields]
    assert_exact(model, vectors)


# ---- what is not sound, or not there --------------------------------------------------


def test_a_damaged_program_is_refused_or_harmless():
    trees = grown(4, depth=12, odds=0.95, trees=3, modes=(LEQ, GT))
    trees.grow(np.random.default_rng(1), 5, 4, (LEQ, EQ), 0.9)
    model = alone(trees.node("float64"), 5, "float64", 1)
    made = program(model)
    columns = columns_for(model, trees, rows=100)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(made)
        for at in rng.integers(len(made) // 8, len(made), 3):
            damaged[at] ^= 1 << int(rng.integers(8))
        try:
            Engine(model, bytes(damaged)).run(columns)
        except ModelRejectedError:
            refused += 1
    assert refused
    with pytest.raises(ModelRejectedError, match="not the bytes"):
        Engine(model, b"something else")
    with pytest.raises(ModelRejectedError, match="damaged"):
        Engine(model, made[: len(made) // 2])


def test_without_the_library_the_caller_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(kernel, "__file__", str(tmp_path / "__init__.py"))
    library.cache_clear()
    model = alone(grown(0).node("float32"), 5, "float32", 1)
    with pytest.raises(KernelMissing, match="cannot be loaded"):
        Engine(model, program(model))
    (tmp_path / "trees.bin").write_bytes(b"for another machine")
    with pytest.raises(KernelMissing, match="cannot be loaded"):
        Engine(model, program(model))
    monkeypatch.undo()
    library.cache_clear()
    Engine(model, program(model))


def test_a_worker_without_the_package_gets_the_library_with_the_code(tmp_path):
    """In a fresh interpreter, from what the pickled function holds."""
    from sqlml.spark import shipping

    package, packed = shipping._executor_side()
    (tmp_path / "packed").write_bytes(packed)
    code = f"""
        import importlib.abc, importlib.util, marshal, sys, zlib
        code, data = marshal.loads(zlib.decompress(open({str(tmp_path / "packed")!r}, "rb").read()))
        class Shipped(importlib.abc.MetaPathFinder, importlib.abc.Loader):
            def find_spec(self, name, path, target=None):
                if name in code:
                    package = any(other.startswith(name + ".") for other in code)
                    return importlib.util.spec_from_loader(name, self, is_package=package)
            def exec_module(self, module):
                exec(code[module.__name__], module.__dict__)
            def get_data(self, path):
                return data[path]
        sys.meta_path.append(Shipped())
        kernel = importlib.import_module({package!r} + ".score.kernel")
        print(kernel.library().sqlml_level(), "sqlml" in sys.modules)
    """
    lines = code.strip().splitlines()
    script = "\n".join([lines[0], *(line[8:] for line in lines[1:])])
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout.split() == [str(PATHS[-1]), "False"], result.stderr

"""Publish: convert, verify, write into the registry. The one way a model becomes scorable."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlml import golden, registry
from sqlml.convert import convert, input_names, is_file, opened, sample_of
from sqlml.errors import ArgumentError, SampleError, listed, quoted
from sqlml.parity import verify
from sqlml.parity.rows import arrow_columns
from sqlml.score import Scorer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlml.model import Label, ScoringModel
    from sqlml.parity import ParityReport
    from sqlml.sample import Sample

_SHOWN = 4
"""Inputs that an example spells out; more make it `*`."""


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """What `publish` wrote; printing it shows the SQL to type next."""

    name: str
    version: int
    alias: str | None
    sha256: str
    scoring_model: ScoringModel
    report: ParityReport

    @property
    def reference(self) -> str:
        """The shortest text that names this version."""
        if self.alias == registry.DEFAULT_ALIAS:
            return self.name
        return f"{self.name}/{self.version}" if self.alias is None else f"{self.name}@{self.alias}"

    def __str__(self) -> str:
        inputs = [quoted(i.name) for i in self.scoring_model.signature.inputs]
        arguments = ", ".join(inputs) if len(inputs) <= _SHOWN else "*"
        alias = f", alias {self.alias}" if self.alias else ""
        return "\n".join(
            [
                f"Published {self.name}/{self.version}{alias}: {self.scoring_model.task}, "
                f"{len(inputs)} inputs, sha256 {self.sha256[:16]}…",
                str(self.report),
                "Score with it in Spark SQL, after sqlml.install(spark):",
                f"  SELECT * FROM PREDICT('{self.reference}', TABLE(your_table));",
                f"  SELECT predict('{self.reference}', {arguments}) FROM your_table;",
            ]
        )


def publish(
    model: Any,
    name: str,
    *,
    sample: Any,
    alias: str | None = None,
    description: str | None = None,
    labels: Iterable[Label] | None = None,
) -> PublishedModel:
    """Convert a trained model, prove that it scores as before, and publish it as `name`.

    `model`: of a framework of `sqlml.convert`, an onnx.ModelProto, or the path of an .onnx or a
    .keras file.
    `sample`: some hundred rows of the training data without the target, as a pandas
    DataFrame, a NumPy array, a pyarrow Table or a Spark DataFrame. It gives the inputs
    their names and types, and the comparison its rows. `alias="champion"` makes the new
    version the one that the bare name means. `labels`: of a network or an ONNX file that
    classifies, in the order of its probabilities; other models know their labels.
    Nothing is written unless every step before succeeded. Raises `ParityError` where
    scores differ, `NotConvertibleError`, `SampleError`, `ModelRejectedError` for a file that
    cannot be opened or is not safe, `ReferenceNotAllowedError` or `ArgumentError` for a name or
    alias, and `RegistryUnavailableError`.

        >>> published = publish(model, "churn", sample=X_train, alias="champion")
        ... # doctest: +SKIP
        >>> published.version                                             # doctest: +SKIP
        1
    """
    registry.check_name(name, alias)
    model = opened(model)
    rows = ordered_sample(model, sample)
    scoring = convert(model, sample=rows, labels=labels)
    report = verify(scoring, model, rows)
    report.raise_if_different()
    scoring = _with_golden(dataclasses.replace(scoring, signature=report.signature), rows)
    version = registry.log(
        scoring,
        name,
        parity_json=report.to_json(),
        alias=alias,
        description=description or _description(scoring, report),
        input_example=rows.frame,
    )
    return PublishedModel(name, version.version, alias, scoring.sha256, scoring, report)


def open_source(source: str, *, trust_pickle: bool = False) -> Any:
    """The trained model behind the path of a model file, `runs:/…` or `models:/…`.

    Files, and models that MLflow holds, which run code when they are opened, need `trust_pickle`.
    Raises what `sqlml.convert.opened` and `sqlml.registry.open_source` raise.

        >>> model = open_source("model.keras")                            # doctest: +SKIP
    """
    found = source if is_file(source) else registry.open_source(source, trust_pickle=trust_pickle)
    return opened(found, trust_pickle=trust_pickle)


def ordered_sample(model: Any, sample: Any) -> Sample:
    """The author's sample for a model, its columns in the model's own order.

    Raises `SampleError`.
    """
    return _inputs_only(sample_of(model, sample), input_names(model))


def read_rows(path: str) -> Any:
    """The rows of a .parquet or .csv file, as a pandas DataFrame.

    Raises `SampleError` for a file that is not there, or is neither.
    """
    import pandas as pd

    readers: dict[str, Callable[[str], Any]] = {".parquet": pd.read_parquet, ".csv": pd.read_csv}
    reader = next((read for end, read in readers.items() if path.lower().endswith(end)), None)
    if reader is None:
        raise SampleError(f"A sample file ends in {listed([*readers])}; found {path!r}.")
    try:
        return reader(path)
    except (OSError, ValueError) as error:
        raise SampleError(f"The sample {path!r} cannot be read: {error}") from None


def read_labels(text: str) -> list[Label]:
    """The labels of a classifier, from a list in JSON.

    Raises `ArgumentError` for what is no list of texts or of whole numbers.

    >>> read_labels('["no", "yes"]')
    ['no', 'yes']
    """
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, list) or any(not isinstance(v, str | int) for v in found):
        raise ArgumentError(
            'Labels are a list of texts or of whole numbers in JSON, such as ["no", "yes"]; '
            f"found {text}."
        )
    return found


def _inputs_only(sample: Sample, known: list[str] | None) -> Sample:
    """The sample in the model's own order of columns.

    A column more than the model was trained on is refused: it is often the target, which
    would become an input that every query must give.
    """
    names = [column.name for column in sample.columns]
    if known is None or not set(known) <= set(names) or known == names:
        return sample  # names that a library made up, or nothing to do
    extra = [name for name in names if name not in known]
    if extra:
        raise SampleError(
            f"The sample has columns that the model was not trained on: {listed(extra)}. "
            f"Leave them out: sample.drop(columns={extra!r}), or in SQL "
            f"SELECT * EXCEPT ({', '.join(quoted(name) for name in extra)}) FROM …"
        )
    order = [names.index(name) for name in known]
    return dataclasses.replace(
        sample,
        frame=sample.frame[known],
        columns=tuple(sample.columns[i] for i in order),
        labels=tuple(sample.labels[i] for i in order) if sample.labels else (),
    )


def _with_golden(model: ScoringModel, sample: Sample) -> ScoringModel:
    columns = arrow_columns(sample.frame, model.signature.inputs)
    return dataclasses.replace(model, golden=golden.golden(model, columns, Scorer(model).score))


def _description(model: ScoringModel, report: ParityReport) -> str:
    what = str(model.metadata.get("estimator", "model"))
    return (
        f"{what}: {model.task}. Scores compared with the original's on {report.rows:,} rows, "
        f"largest error {report.max_abs_error:.2g}. Published with sqlml."
    )

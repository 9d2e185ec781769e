"""Every error that sqlml raises, for the person who typed the SQL.

    SqlmlError
    ├── ModelNotFoundError         MODEL_NOT_FOUND
    ├── VersionNotFoundError       VERSION_NOT_FOUND
    ├── AliasNotFoundError         ALIAS_NOT_FOUND
    ├── ModelNotConstantError      MODEL_NOT_CONSTANT
    ├── ArgumentError              ARGUMENT_INVALID
    ├── InputMissingError          INPUT_MISSING
    ├── InputCountError            INPUT_COUNT
    ├── InputAmbiguousError        INPUT_AMBIGUOUS
    ├── InputTypeError             INPUT_TYPE
    ├── OutputMissingError         OUTPUT_MISSING
    ├── OutputNameClashError       OUTPUT_NAME_CLASH
    ├── SampleError                SAMPLE_INVALID
    ├── NotConvertibleError        NOT_CONVERTIBLE
    ├── ParityError                PARITY_FAILED
    ├── NotCompilableError         NOT_COMPILABLE
    ├── ModelRejectedError         MODEL_REJECTED
    ├── ChecksumMismatchError      CHECKSUM_MISMATCH
    ├── ReferenceNotAllowedError   REFERENCE_NOT_ALLOWED
    ├── RegistryUnavailableError   REGISTRY_UNAVAILABLE
    ├── StatementSyntaxError       STATEMENT_SYNTAX
    ├── DependencyMissingError     DEPENDENCY_MISSING
    └── SparkIncompatibleError     SPARK_INCOMPATIBLE

A message is one line: the condition in brackets (stable, searchable), what was found,
what was expected, and what to type next. The facts are attributes too.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class SqlmlError(Exception):
    """The base of every error of sqlml; `condition` is the name to search for.

    >>> str(SampleError("The sample has no rows."))
    '[SAMPLE_INVALID] The sample has no rows.'
    """

    condition: ClassVar[str] = "SQLML_ERROR"

    def __init__(self, message: str) -> None:
        # One line, whatever a library's own message brought along.
        super().__init__(f"[{self.condition}] " + " ".join(message.split()))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence that offers the nearest known name, or the empty string.

    >>> did_you_mean("chrun", ["churn", "flights"])
    " Did you mean 'churn'?"
    """
    by_folded = {k.lower(): k for k in known}
    near = difflib.get_close_matches(name.lower(), by_folded, n=1, cutoff=0.6)
    return f" Did you mean {by_folded[near[0]]!r}?" if near else ""


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names for a message, cut where the list grows past reading.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    if len(names) <= most:
        return ", ".join(names)
    return ", ".join(names[:most]) + f" and {len(names) - most} more"


class ModelNotFoundError(SqlmlError):
    """The registry has no model of that name."""

    condition = "MODEL_NOT_FOUND"

    def __init__(self, name: str, known: Sequence[str] = ()) -> None:
        self.name = name
        super().__init__(
            f"No model {name!r}.{did_you_mean(name, known)} SELECT * FROM models() lists all."
        )


class VersionNotFoundError(SqlmlError):
    """The model is there, but not that version of it."""

    condition = "VERSION_NOT_FOUND"

    def __init__(self, name: str, version: int | None, known: Sequence[int] = ()) -> None:
        self.name, self.version, self.known = name, version, tuple(known)
        found = listed([str(v) for v in known]) or "none"
        what = "no versions" if version is None else f"no version {version}"
        super().__init__(
            f"Model {name!r} has {what}. It has: {found}. "
            f"SELECT * FROM model_versions('{name}') lists them."
        )


class AliasNotFoundError(SqlmlError):
    """The model is there, but no version of it bears that alias."""

    condition = "ALIAS_NOT_FOUND"

    def __init__(self, name: str, alias: str, known: Sequence[str] = ()) -> None:
        self.name, self.alias, self.known = name, alias, tuple(known)
        super().__init__(
            f"Model {name!r} has no alias {alias!r}.{did_you_mean(alias, known)} "
            f"It has: {listed(known) or 'none'}. "
            f"SELECT * FROM model_versions('{name}') lists versions and aliases."
        )


class ModelNotConstantError(SqlmlError):
    """The model argument depends on a row; it must be known before a row is read."""

    condition = "MODEL_NOT_CONSTANT"

    def __init__(self, found: str, function: str = "PREDICT") -> None:
        self.found = found
        super().__init__(
            f"The model of {function} must be a constant string such as 'churn' or "
            f"'churn@champion', found {found}. Write the name in quotes."
        )


class ArgumentError(SqlmlError):
    """A function of sqlml was called with arguments that it does not take."""

    condition = "ARGUMENT_INVALID"


class InputMissingError(SqlmlError):
    """Inputs of the model that the query does not give."""

    condition = "INPUT_MISSING"

    def __init__(
        self,
        model: str,
        missing: Sequence[tuple[str, str]],
        found: Sequence[str],
        hint: str = "",
    ) -> None:
        self.model, self.missing, self.found = model, tuple(missing), tuple(found)
        near = [did_you_mean(name, found) for name, _ in missing]
        wanted = listed(
            [
                f"{n} {t}" + offer.replace(" Did", " (did") + ")" * bool(offer)
                for (n, t), offer in zip(missing, near, strict=True)
            ]
        )
        super().__init__(
            f"Model {model!r} needs {wanted}: not among the columns {listed(found) or '(none)'}. "
            + (hint or "Name them with AS in a subquery.")
        )


class InputCountError(SqlmlError):
    """A positional call with too few or too many arguments."""

    condition = "INPUT_COUNT"

    def __init__(self, model: str, expected: Sequence[str], found: int) -> None:
        self.model, self.expected, self.found = model, tuple(expected), found
        super().__init__(
            f"Model {model!r} takes {len(expected)} inputs, found {found}. "
            f"It takes, in this order: {listed(expected)}. "
            f"Or bind by name: predict('{model}', {expected[0] if expected else 'x'} => …)."
        )


class InputAmbiguousError(SqlmlError):
    """More than one column or argument could be the input, or one has no name."""

    condition = "INPUT_AMBIGUOUS"


class InputTypeError(SqlmlError):
    """A column whose type cannot become the input's without losing information."""

    condition = "INPUT_TYPE"

    def __init__(self, model: str, name: str, expected: str, found: str, write: str) -> None:
        self.model, self.name, self.expected, self.found = model, name, expected, found
        super().__init__(
            f"Input {name!r} of model {model!r} is {expected}, found {found}: an implicit cast "
            f"could lose information. Write {write}."
        )


def quoted(name: str) -> str:
    """A name as Spark SQL takes it: plain where that is possible, else in backticks.

    >>> quoted("age"), quoted("home.dest")
    ('age', '`home.dest`')
    """
    if name.isascii() and name.isidentifier():
        return name
    return "`" + name.replace("`", "``") + "`"


class OutputMissingError(SqlmlError):
    """An output was asked for that this model does not have."""

    condition = "OUTPUT_MISSING"


class OutputNameClashError(SqlmlError):
    """A column of the input bears the name of an output."""

    condition = "OUTPUT_NAME_CLASH"

    def __init__(self, model: str, names: Sequence[str]) -> None:
        self.model, self.names = model, tuple(names)
        super().__init__(
            f"The table already has {listed(names)}, which PREDICT with model {model!r} would add. "
            f"Write PREDICT('{model}', TABLE(…), prefix => 'scored_') to name the outputs apart."
        )


class SampleError(SqlmlError):
    """The sample given at publish time cannot serve: its form, a type, no rows."""

    condition = "SAMPLE_INVALID"


class NotConvertibleError(SqlmlError):
    """A model, or a step of one, that has no faithful form in ONNX."""

    condition = "NOT_CONVERTIBLE"

    def __init__(self, step: str, reason: str, advice: str = "") -> None:
        self.step, self.reason = step, reason
        super().__init__(f"{step} cannot be converted: {reason} {advice}".strip())


class ParityError(SqlmlError):
    """The converted model does not score like the original; nothing was published.

    `report` is the `ParityReport`, with the worst rows.
    """

    condition = "PARITY_FAILED"

    def __init__(self, message: str, report: object = None) -> None:
        self.report = report
        super().__init__(message)


class NotCompilableError(SqlmlError):
    """A model that has no form as one Spark SQL expression."""

    condition = "NOT_COMPILABLE"


class ModelRejectedError(SqlmlError):
    """A model file that is not safe or not sound to load."""

    condition = "MODEL_REJECTED"


class ChecksumMismatchError(SqlmlError):
    """The bytes in the registry are not those that were published."""

    condition = "CHECKSUM_MISMATCH"

    def __init__(self, reference: str, expected: str, found: str) -> None:
        self.reference, self.expected, self.found = reference, expected, found
        super().__init__(
            f"The file of model {reference!r} has sha256 {found[:16]}…, published was "
            f"{expected[:16]}…: it was changed after publishing. Publish it again."
        )


class ReferenceNotAllowedError(SqlmlError):
    """Text in the place of a model reference that is not one."""

    condition = "REFERENCE_NOT_ALLOWED"

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(
            f"{text!r} is not a model reference. Write 'churn', 'churn@champion', 'churn/3', "
            "'models:/churn@champion' or 'models:/churn/3'."
        )


class RegistryUnavailableError(SqlmlError):
    """The MLflow registry did not answer."""

    condition = "REGISTRY_UNAVAILABLE"

    def __init__(self, uri: str, reason: str) -> None:
        self.uri, self.reason = uri, reason
        super().__init__(
            f"The MLflow registry at {uri} does not answer ({reason}). "
            "Check MLFLOW_TRACKING_URI, or run sqlml doctor."
        )


class StatementSyntaxError(SqlmlError):
    """A model statement that is almost right."""

    condition = "STATEMENT_SYNTAX"


class DependencyMissingError(SqlmlError):
    """A package that this step needs is not installed."""

    condition = "DEPENDENCY_MISSING"

    def __init__(self, what: str, extra: str) -> None:
        self.what, self.extra = what, extra
        super().__init__(f"{what} need the extra: pip install 'sqlml[{extra}]'")


class SparkIncompatibleError(SqlmlError):
    """The running Spark does not have what sqlml relies on; the message names what."""

    condition = "SPARK_INCOMPATIBLE"

"""Every error that sqlml raises, for the person who typed the SQL.

    SqlmlError
    ├── ModelNotFoundError         MODEL_NOT_FOUND
    ├── ModelExistsError           MODEL_EXISTS
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
    ├── OutputTypeError            OUTPUT_TYPE
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
    ├── ExecutorDependencyError    DEPENDENCY_MISSING
    ├── SparkIncompatibleError     SPARK_INCOMPATIBLE
    ├── PortInUseError             PORT_IN_USE
    ├── AuthenticationMissingError AUTHENTICATION_MISSING
    ├── SelfCheckError             SELF_CHECK_FAILED
    └── SparkStoppedError          SPARK_STOPPED

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


class ModelExistsError(SqlmlError):
    """The registry has a model of that name already."""

    condition = "MODEL_EXISTS"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"There is a model {name!r} already. Write CREATE OR REPLACE MODEL to add a version "
            "to it, or choose another name."
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


class OutputTypeError(SqlmlError):
    """An output was asked for in a type that cannot hold it."""

    condition = "OUTPUT_TYPE"

    def __init__(self, model: str, name: str, found: str, wanted: str) -> None:
        self.model, self.name, self.found, self.wanted = model, name, found, wanted
        in_tsql = {"DOUBLE": "FLOAT", "FLOAT": "REAL"}  # the WITH clause is T-SQL's
        super().__init__(
            f"{name!r} of model {model!r} is {found}, WITH asks for {in_tsql.get(wanted, wanted)}: "
            f"the cast could lose information. Write {name} {in_tsql.get(found, found)}, and "
            f"CAST({name} AS …) in the SELECT where another type is wanted."
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
    """A model that a backend has no exact form for: no SQL expression, no tree program."""

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
    """A model statement that is almost right; `line` and `column` count from 1."""

    condition = "STATEMENT_SYNTAX"

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        self.line, self.column = line, column
        super().__init__(message)


class DependencyMissingError(SqlmlError):
    """A package that this step needs is not installed."""

    condition = "DEPENDENCY_MISSING"

    def __init__(self, what: str, extra: str, instead: str = "") -> None:
        """`instead`: what else would do, where something would."""
        self.what, self.extra = what, extra
        super().__init__(f"{what} need the extra: pip install 'sqlml[{extra}]'{instead}")


class ExecutorDependencyError(SqlmlError):
    """An executor's Python lacks a library that scoring needs."""

    condition = "DEPENDENCY_MISSING"

    def __init__(
        self, host: str, python: str, library: str, version: str | None, reason: str
    ) -> None:
        self.host, self.python, self.library = host, python, library
        wanted = f"{library}=={version}" if version else library
        super().__init__(
            f"The executor on {host} cannot import {library} ({reason}). Type on {host}: "
            f"{python} -m pip install {wanted}; sqlml doctor --master URL looks at all of them."
        )


class SparkIncompatibleError(SqlmlError):
    """The running Spark does not have what sqlml relies on; the message names what."""

    condition = "SPARK_INCOMPATIBLE"


class PortInUseError(SqlmlError):
    """Another process listens where `sqlml serve` should."""

    condition = "PORT_IN_USE"

    def __init__(self, host: str, option: str, port: int) -> None:
        self.host, self.port = host, port
        super().__init__(
            f"Port {port} of {host} is taken by another process. "
            f"Stop that one, or write {option} 0 for any free port."
        )


class AuthenticationMissingError(SqlmlError):
    """`sqlml serve` would let anybody in the network send SQL."""

    condition = "AUTHENTICATION_MISSING"

    def __init__(self, host: str, clients: str, remedy: str) -> None:
        self.host = host
        super().__init__(
            f"On {host} other machines could connect, and {clients} asks nobody for a password. "
            f"{remedy}, or give --host 127.0.0.1."
        )


class SelfCheckError(SqlmlError):
    """`sqlml serve` has opened a session on itself, and PREDICT did not answer in it."""

    condition = "SELF_CHECK_FAILED"

    def __init__(self, session: str, reason: str) -> None:
        self.session, self.reason = session, reason
        super().__init__(f"The server has stopped: PREDICT did not answer in {session}: {reason}")


class SparkStoppedError(SqlmlError):
    """The Spark of a server has ended by itself."""

    condition = "SPARK_STOPPED"

    def __init__(self) -> None:
        super().__init__(
            "Spark has stopped: its JVM or its cluster ended. The log above says why; "
            "start sqlml serve again, with more memory if that ran out: "
            "--conf spark.driver.memory=4g."
        )

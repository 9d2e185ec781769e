"""The command line: a thin face over the public names."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING, Any

import click

from sqlml.errors import ArgumentError, SqlmlError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlml.doctor import Check
    from sqlml.model import Label
    from sqlml.registry import Version

ROWS = 100
"""Rows of a table that `sqlml sql` prints unless told otherwise."""

_json = click.option("--json", "as_json", is_flag=True, help="For programs: JSON, no table.")
_master = click.option(
    "--master", metavar="URL", help="Spark's master; else SPARK_MASTER, else this machine."
)
_port = click.IntRange(0, 65535)


class _Commands(click.Group):
    """Errors for people: one line, exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SqlmlError as error:
            message = str(error)
        except Exception as error:
            # Spark's own errors, told by name: to import Spark takes longer than most commands.
            if not any(t.__name__ == "PySparkException" for t in type(error).__mro__):
                raise
            message = spark_message(str(error))
        click.echo(message, err=True)
        return ctx.exit(1)


def _labels(ctx: click.Context, option: click.Parameter, text: str | None) -> list[Label] | None:
    if text is None:
        return None
    from sqlml.publish import read_labels

    try:
        return read_labels(text)
    except ArgumentError as error:
        raise click.BadParameter(str(error)) from None


_labels_option = click.option(
    "--labels",
    metavar="JSON",
    callback=_labels,
    help='Of a network that classifies, in the order of its probabilities: \'["no", "yes"]\'.',
)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sqlml")
def main() -> None:
    """Score trained machine-learning models in Spark SQL.

    The models are in the MLflow registry that MLFLOW_TRACKING_URI names, by default
    mlflow.db in this directory.
    """


@main.command(epilog="Example: sqlml demo")
@click.argument("directory", default="sqlml-demo", type=click.Path(file_okay=False))
def demo(directory: str) -> None:
    """Train on real data, publish, score in SQL, and show the results."""
    from sqlml import demo as show

    show.run(directory)


@main.command(
    epilog="Example: sqlml publish runs:/4f2ab1/model --name churn"
    " --sample rows.parquet --alias champion --trust-pickle"
)
@click.argument("source")
@click.option("--name", required=True, help="The name under which SQL finds the model.")
@click.option(
    "--sample", "sample_file", required=True, help="Rows of the training data: .parquet or .csv."
)
@click.option("--alias", help="The alias for this version; the bare name means 'champion'.")
@_labels_option
@click.option("--trust-pickle", is_flag=True, help="Open a pickled model, which runs its code.")
@_json
def publish(
    source: str,
    name: str,
    sample_file: str,
    alias: str | None,
    labels: list[Label] | None,
    trust_pickle: bool,
    as_json: bool,
) -> None:
    """Publish a model that MLflow holds, given as runs:/… or models:/…, or a model's file.

    Files are .onnx, Keras' .keras and PyTorch's .pt2. Models in pickle, as MLflow's sklearn flavor
    writes them, need --trust-pickle: opening one runs the code inside. So do .pt2 files.
    """
    from sqlml.publish import open_source, read_rows
    from sqlml.publish import publish as publish_model

    rows = read_rows(sample_file)
    model = open_source(source, trust_pickle=trust_pickle)
    published = publish_model(model, name, sample=rows, alias=alias, labels=labels)
    if as_json:
        facts = ("name", "version", "alias", "sha256")
        _print_json({fact: getattr(published, fact) for fact in facts})
    else:
        click.echo(str(published))


@main.command(epilog="Example: sqlml check runs:/4f2ab1/model --sample rows.parquet --trust-pickle")
@click.argument("source")
@click.option(
    "--sample",
    "sample_file",
    help="Rows of the training data: .parquet or .csv; else MLflow's input example.",
)
@_labels_option
@click.option("--trust-pickle", is_flag=True, help="Open a pickled model, which runs its code.")
@_json
def check(
    source: str,
    sample_file: str | None,
    labels: list[Label] | None,
    trust_pickle: bool,
    as_json: bool,
) -> None:
    """Say which steps of a model convert, which do not and why; nothing is published.

    SOURCE is that of sqlml publish. Exit code 1 where the model would be refused.
    """
    from sqlml.check import check as check_model
    from sqlml.publish import open_source, read_rows
    from sqlml.registry import sample_of_source

    model = open_source(source, trust_pickle=trust_pickle)
    rows = read_rows(sample_file) if sample_file else sample_of_source(source, "--sample FILE")
    checked = check_model(model, sample=rows, labels=labels)
    if as_json:
        _print_json({"ok": checked.ok} | dataclasses.asdict(checked))
    else:
        _print_table(
            ("step", "class", ""),
            [(step.name, step.kind, step.reason or "converts") for step in checked.steps],
        )
        click.echo(str(checked))
    if not checked.ok:
        raise SystemExit(1)


@main.command(epilog="Example: sqlml models --json")
@_json
def models(as_json: bool) -> None:
    """List the models in the registry."""
    from sqlml import registry

    rows = registry.models()
    if as_json:
        _print_json([dataclasses.asdict(row) for row in rows])
    elif not rows:
        click.echo(f"No models in {registry.registry_uri()}. sqlml publish adds one.")
    else:
        _print_table(
            ("name", "latest", "champion", "task", "description"),
            [(m.name, m.latest_version, m.champion_version, m.task, m.description) for m in rows],
        )


@main.command(epilog="Example: sqlml describe churn@champion")
@click.argument("model")
@_json
def describe(model: str, as_json: bool) -> None:
    """Show a model's inputs, outputs, backend, parity and versions."""
    from sqlml import registry
    from sqlml.compile import prepare

    version = registry.resolve(model)
    scoring = registry.read(version)
    signature, prepared = scoring.signature, prepare(scoring)
    report = registry.parity(version)
    versions = registry.versions(version.name)
    if as_json:
        _print_json(
            dataclasses.asdict(version)
            | {
                "inputs": [
                    {"name": i.name, "type": i.type, "missing_allowed": i.takes_missing}
                    for i in signature.inputs
                ],
                "outputs": [dataclasses.asdict(output) for output in signature.outputs],
                "backend": prepared.backend,
                "backend_reason": prepared.reason,
                "parity": report,
                "versions": [dataclasses.asdict(v) for v in versions],
            }
        )
        return
    click.echo(f"{version}{_aliases(version)}: {version.description or version.task}")
    click.echo(f"sha256 {version.sha256}")
    click.echo(f"backend {prepared.backend}: {prepared.reason}\n")
    _print_table(
        ("input", "type", "missing values"),
        [(i.name, i.type, "scored" if i.takes_missing else "score NULL") for i in signature.inputs],
    )
    _print_table(("output", "type"), [(o.name, o.type) for o in signature.outputs])
    compared = ("rows", "label_mismatches", "max_abs_error", "max_rel_error", "created")
    _print_table(
        ("parity", "with the original"),
        [("scores agree", "yes" if version.parity_ok else "NO")]
        + [(fact.replace("_", " "), report[fact]) for fact in compared if fact in report],
    )
    _print_table(
        ("version", "aliases", "published", "sha256"),
        [(v.version, ", ".join(v.aliases), f"{v.created:%F %T}", v.sha256[:16]) for v in versions],
    )


@main.command(epilog="Example: sqlml to-sql churn --output probability")
@click.argument("model", required=False)
@click.option("--output", help="An output of PREDICT, or \"probabilities['yes']\".")
@click.option(
    "--create-function",
    "function",
    metavar="[NAME]",
    is_flag=False,
    flag_value="",
    help="A CREATE FUNCTION statement; without a name, predict_ and the model's.",
)
def to_sql(model: str | None, output: str | None, function: str | None) -> None:
    """Print a model as a Spark SQL expression, which runs without sqlml."""
    from sqlml import registry
    from sqlml.compile import export

    if model is None:  # --create-function churn: the name of a model, not of a function
        model, function = function, ""
    if not model:
        raise click.UsageError("Missing argument 'MODEL'.")
    version = registry.resolve(model)
    scoring = registry.read(version)
    if function is None:
        click.echo(export.to_sql(scoring, output))
        return
    name = function or "predict_" + re.sub(r"\W", "_", version.name)
    comment = f"Model {version.name}, version {version.version}, sha256 {version.sha256}"
    click.echo(export.create_function(scoring, name, output, comment))


@main.command(epilog="Example: sqlml sql \"SELECT * FROM PREDICT('churn', TABLE(customers))\"")
@click.argument("statement")
@click.option("--limit", type=click.IntRange(min=1), help=f"Rows to print; a table ends at {ROWS}.")
@_master
@_json
def sql(statement: str, limit: int | None, master: str | None, as_json: bool) -> None:
    """Run one SQL statement on a local Spark with PREDICT; tables stay in this directory.

    --json prints one JSON object a line.
    """
    from sqlml.spark.installation import install
    from sqlml.spark.session import local_session

    spark = local_session(master=master)
    try:
        install(spark)
        result = spark.sql(statement.strip().removesuffix(";"))
        if not result.columns:
            return  # a CREATE TABLE has nothing to show
        if as_json:
            for line in _json_lines(result, limit):
                click.echo(line)
        else:
            result.show(limit or ROWS, truncate=False)
    finally:
        spark.stop()


def _settings(context: click.Context, option: click.Parameter, given: list[str]) -> dict[str, str]:
    for setting in given:
        if not re.match(r"spark\.[^=]+=", setting):
            raise click.BadParameter(f"{setting!r} is not of the form spark.some.setting=value.")
    return {key: value for key, _, value in (setting.partition("=") for setting in given)}


@main.command(epilog="Example: sqlml serve --port 10000 --conf spark.driver.memory=4g")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", default=10000, show_default=True, type=_port, help="For JDBC; 0 is any free port."
)
@click.option("--connect-port", type=_port, help="For Spark Connect, which is off without it.")
@click.option(
    "--directory",
    default=".",
    show_default=True,
    type=click.Path(file_okay=False),
    help="Where the tables are: metastore_db and spark-warehouse.",
)
@_master
@click.option(
    "--conf", metavar="KEY=VALUE", multiple=True, callback=_settings, help="A setting of Spark."
)
@click.option(
    "--trust-pickle",
    is_flag=True,
    help="CREATE MODEL may open pickled models, which runs their code.",
)
def serve(**options: Any) -> None:
    """Serve SQL with PREDICT over JDBC (HiveServer2) and Spark Connect.

    Ctrl-C or SIGTERM stops it. For a cluster: spark-submit --master yarn "$(python -c
    'import sqlml.serve.__main__ as m; print(m.__file__)')" --port 10000
    """
    from sqlml.serve import Options
    from sqlml.serve import serve as serve_until_stopped

    serve_until_stopped(Options(**options))


@main.command(epilog="Example: sqlml doctor")
@_master
@_json
def doctor(master: str | None, as_json: bool) -> None:
    """Check Java, Spark, packages, registry and executors, and say how to mend them."""
    from sqlml.doctor import examine

    checks = []
    for check in examine(master):
        checks.append(check)
        if not as_json:
            _print_check(check)
    if as_json:
        _print_json([dataclasses.asdict(check) for check in checks])
    if not all(check.ok for check in checks):
        raise SystemExit(1)


@main.command(epilog="Example: sqlml bench 1 4 --rows-scale 0.1")
@click.argument("workloads", nargs=-1, metavar="[WORKLOAD]...", type=click.IntRange(1, 9))
@click.option("--rows-scale", default=1.0, show_default=True, help="Times the rows to score.")
@click.option("--repeat", default=5, show_default=True, type=click.IntRange(min=1))
@click.option("--seed", default=7, show_default=True, help="Of the rows and the models.")
@click.option(
    "--directory",
    default="sqlml-bench",
    show_default=True,
    type=click.Path(file_okay=False),
    help="For bench.csv, bench.png and what is needed meanwhile: 5 GB at full scale.",
)
@_json
def bench(workloads: tuple[int, ...], as_json: bool, **options: Any) -> None:
    """Compare with what scores in Spark elsewhere: the ratio table, on this machine.

    WORKLOAD is a number from 1 to 9, all without one. Needs pip install 'sqlml[bench]'.
    """
    from sqlml.bench import report, run

    rows = run(workloads, **options)
    if as_json:
        _print_json(report.as_dicts(rows))
    else:
        report.show(rows)


def spark_message(text: str) -> str:
    r"""Spark's message without the plan and the stack that come after it.

    >>> spark_message("[X] No column a. SQLSTATE: 1; line 1 pos 7;\n'Project ['a]\n+- Range")
    '[X] No column a. SQLSTATE: 1; line 1 pos 7'
    """
    kept = []
    for line in text.strip().split("JVM stacktrace:")[0].splitlines():
        if re.match(r"'|[+:]- |\s+at |\s*Caused by:", line):
            break
        kept.append(line)
    if any("ERROR XSDB6" in line for line in text.splitlines()):
        return (
            "Another process has the tables of this directory open (metastore_db). "
            "End it first, or work in another directory."
        )
    return "\n".join(kept[:8]).rstrip().rstrip(";")


def _json_lines(result: Any, limit: int | None) -> Iterable[str]:
    from pyspark.sql import functions as F

    rows = result if limit is None else result.limit(limit)
    as_text = F.to_json(F.struct("*"), {"ignoreNullFields": "false"})
    return (row[0] for row in rows.select(as_text).toLocalIterator())


def _print_json(value: Any) -> None:
    # What JSON has no form for, a time for one, is its text.
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def _print_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(*header, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for row in rows:
        table.add_row(*("-" if value is None else str(value) for value in row))
    Console(markup=False, highlight=False).print(table)
    click.echo()


def _print_check(check: Check) -> None:
    mark = click.style("✓", fg="green") if check.ok else click.style("✗", fg="red")
    click.echo(f"{mark} {check.name:13} {check.found}")
    if check.advice:
        click.echo(f"  {'':13} → {check.advice}")


def _aliases(version: Version) -> str:
    return "".join(f" @{alias}" for alias in version.aliases)

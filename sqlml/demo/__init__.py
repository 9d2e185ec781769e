"""`sqlml demo`: from real flights to scores in SQL, in one directory that stays usable.

What is shown is what runs: the SQL below is executed as it is printed, and the Python of
`train` is printed from its source.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import shlex
import shutil
import sysconfig
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from sqlml.demo import flights
from sqlml.demo.screen import Screen
from sqlml.demo.train import train

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession
    from rich.console import Console

MODEL = "flight_delay"

JOIN = """\
CREATE TABLE departures AS
SELECT make_date(f.year, f.month, f.day) AS date, f.month, a.name AS airline,
       f.carrier, f.flight, f.origin, f.dest, f.distance,
       dayofweek(make_date(f.year, f.month, f.day)) AS weekday,
       f.hour + f.minute / 60D AS scheduled,
       w.temp, w.humid, w.wind_speed, w.wind_gust, w.precip, w.pressure, w.visib,
       p.manufacturer, p.engine, p.seats, f.year - p.year AS plane_age,
       -- how the airport has been running: flights due two to four hours ago
       avg(least(f.dep_delay, 60)) OVER (
         PARTITION BY f.origin ORDER BY unix_seconds(f.time_hour)
         RANGE BETWEEN 14400 PRECEDING AND 7200 PRECEDING) AS airport_delay,
       CASE WHEN f.arr_delay >= 30 THEN 'late'
            WHEN f.arr_delay IS NOT NULL THEN 'on time' END AS outcome
FROM   flights f
LEFT JOIN airlines a ON a.carrier = f.carrier
LEFT JOIN planes p ON p.tailnum = f.tailnum
LEFT JOIN weather w ON w.origin = f.origin AND w.time_hour = f.time_hour"""

TRAINING = "month <= 8 AND outcome IS NOT NULL"
TRAIN = f"""\
rows = spark.table("departures").where("{TRAINING}").toPandas()
model, X = train(rows)"""

PUBLISH = f"""\
import sqlml
sqlml.publish(model, "{MODEL}", sample=X, alias="champion")"""

SCORE = f"""\
CREATE TABLE scored AS
SELECT date, carrier, airline, flight, origin, dest, outcome, prediction,
       probabilities['late'] AS late
FROM   PREDICT('{MODEL}', TABLE(SELECT * FROM departures WHERE month >= 9))"""

ROWS = """\
SELECT date, carrier, flight, origin, dest, prediction, round(late, 3) AS late, outcome
FROM   scored
ORDER  BY hash(date, flight)
LIMIT  8"""

# The probability that a late flight was given a higher score than one on time, from ranks;
# flights of equal score share the mean of their ranks.
AUC = """\
WITH ranked AS (
  SELECT outcome = 'late' AS was_late,
         rank() OVER (ORDER BY late) + (count(*) OVER (PARTITION BY late) - 1) / 2 AS place
  FROM   scored WHERE outcome IS NOT NULL),
counted AS (
  SELECT sum(place) FILTER (WHERE was_late) AS places, count_if(was_late) AS late,
         count_if(NOT was_late) AS on_time
  FROM   ranked)
SELECT late + on_time AS flights, late,
       round((places - late * (late + 1) / 2) / late / on_time, 3) AS auc
FROM   counted"""

CALIBRATION = """\
SELECT concat(floor(late * 10) * 10, ' to ', floor(late * 10) * 10 + 10, ' %') AS predicted,
       count(*) AS flights,
       round(100 * avg(late), 1) AS `mean predicted %`,
       round(100 * avg(CAST(outcome = 'late' AS INT)), 1) AS `really late %`
FROM   scored
WHERE  outcome IS NOT NULL
GROUP  BY floor(late * 10)
ORDER  BY floor(late * 10)"""

NEXT = f"""\
SELECT dest, count(*) AS flights, avg(probabilities['late']) AS late
FROM PREDICT('{MODEL}', TABLE(departures))
WHERE month = 12 GROUP BY dest ORDER BY late DESC LIMIT 5"""


def run(directory: str | os.PathLike[str] = "sqlml-demo", console: Console | None = None) -> None:
    """Train on real flights, publish, score in SQL, and show what came out.

    Tables, model and registry stay in `directory`, where `sqlml sql` sees them. A second
    run trains again, publishes the next version and moves the alias to it.
    Raises `DependencyMissingError` where the flights or scikit-learn are not installed.

    >>> run("sqlml-demo")                                               # doctest: +SKIP
    """
    # Before OpenMP is loaded: threads that spin while they wait make training on a busy
    # machine five times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from rich.console import Console

    from sqlml import publish
    from sqlml.spark.installation import install
    from sqlml.spark.session import local_session

    files = flights.find_files()
    show = Screen(console or Console(highlight=False, soft_wrap=True))
    home = Path(directory).resolve()
    home.mkdir(parents=True, exist_ok=True)
    with contextlib.chdir(home), _registry(home), contextlib.ExitStack() as finally_:
        show.title("Flights that left New York in 2013, and the weather, planes and airlines")
        with show.working("starting Spark"):
            spark = local_session("sqlml demo", directory=home)
            finally_.callback(spark.stop)
        with show.working("reading"):
            _empty(spark, home)
            for table in flights.TABLES:
                flights.create_table(spark, table, files, home / "data" / table)
        show.say(
            "tables " + ", ".join(f"{t} ({spark.table(t).count():,} rows)" for t in flights.TABLES)
        )

        show.title("Join them in SQL: what is known of a flight when it is due to leave")
        show.code(JOIN, "sql")
        with show.working("joining"):
            spark.sql(JOIN)
        show.say("outcome is what the model will predict: 30 minutes late on arrival, or not")

        show.title("Train in Python, on January to August")
        show.code(f"{inspect.getsource(train)}\n{TRAIN}", "python")
        with show.working("training"):
            rows = spark.table("departures").where(TRAINING).toPandas()
            model, sample = train(rows)
        show.say(f"{len(rows):,} flights, {(rows['outcome'] == 'late').mean():.1%} of them late")

        show.title("Publish: convert to ONNX, compare with the original, write to MLflow")
        show.code(PUBLISH, "python")
        with show.working("converting and comparing"):
            published = publish(model, MODEL, sample=sample, alias="champion")
        show.say(f"version {published.version}, alias champion. {published.report}")

        show.title("Score September to December in SQL")
        with show.working("installing PREDICT"):
            install(spark)
        show.code(SCORE, "sql")
        with show.working("scoring") as clock:
            spark.sql(SCORE)
        count = spark.table("scored").count()
        show.say(f"{count:,} flights scored and written, {count / clock.seconds:,.0f} a second")
        show.table(spark.sql(ROWS))

        show.title("Was it right? Ask the scored table")
        show.code(AUC, "sql")
        show.table(spark.sql(AUC))
        show.code(CALIBRATION, "sql")
        show.table(spark.sql(CALIBRATION))
    show.title("Go on")
    show.code(_next(home), "bash")
    show.say(f"{show.total():.0f} seconds in all")


@contextlib.contextmanager
def _registry(home: Path) -> Iterator[None]:
    """Publish into the demo's own registry, whatever registry the user has."""
    before = {name: os.environ.pop(name, None) for name in _REGISTRY_VARIABLES}
    os.environ[_REGISTRY_VARIABLES[0]] = f"sqlite:///{home / 'mlflow.db'}"
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


_REGISTRY_VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")


def _empty(spark: SparkSession, home: Path) -> None:
    """Make room for a second run, also after one that was interrupted."""
    for table in (*flights.TABLES, "departures", "scored"):
        spark.sql(f"DROP TABLE IF EXISTS {table}")
        shutil.rmtree(home / "spark-warehouse" / table, ignore_errors=True)


def _next(home: Path) -> str:
    """What to type next, from where the user stands now."""
    lines = [f"cd {shlex.quote(os.path.relpath(home))}"]
    if shutil.which("java") is None and "JAVA_HOME" in os.environ:
        lines.append(f"export JAVA_HOME={shlex.quote(os.environ['JAVA_HOME'])}")
    set_here = [name for name in _REGISTRY_VARIABLES if name in os.environ]
    if set_here:
        lines.append(f"unset {' '.join(set_here)}   # the demo has a registry of its own")
    sqlml = "sqlml"
    if shutil.which(sqlml) is None:
        sqlml = shlex.quote(os.path.relpath(Path(sysconfig.get_path("scripts"), "sqlml"), home))
    sql = textwrap.indent(NEXT, "  ").lstrip()
    return "\n".join([*lines, f"{sqlml} describe {MODEL}", f'{sqlml} sql "{sql}"'])

"""A local Spark session as the command line uses it: quiet, with tables that stay."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sqlml.errors import SparkIncompatibleError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DEFAULT_MASTER = "local[*]"


def local_session(
    app_name: str = "sqlml",
    *,
    hive: bool = True,
    directory: str | Path = ".",
    master: str | None = None,
) -> SparkSession:
    """A Spark session whose tables live in `directory`, under Spark's own names there.

    With `hive`, tables stay: `metastore_db` and `spark-warehouse`. The master is `master`,
    else SPARK_MASTER, else this machine. Only errors are logged.
    Raises `SparkIncompatibleError` where Java is missing or Spark does not start.

        >>> spark = local_session()                                       # doctest: +SKIP
    """
    from pyspark.errors import PySparkException
    from pyspark.logger import PySparkLogger
    from pyspark.sql import SparkSession

    home = Path(directory).resolve()
    # PySpark logs each error that it raises as JSON with the whole Java stack.
    PySparkLogger.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL + 1)
    # Workers run "python3" of the PATH otherwise, which need not be this environment.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    master = master or os.environ.get("SPARK_MASTER") or DEFAULT_MASTER
    builder = SparkSession.builder.master(master).appName(app_name)
    for key, value in _settings(home, local=master.startswith("local")).items():
        builder = builder.config(key, value)
    if hive:
        builder = builder.enableHiveSupport()
    try:
        return builder.getOrCreate()
    except PySparkException as error:
        if "JAVA_GATEWAY_EXITED" not in str(error):
            raise
        found = "Java did not start Spark" if _has_java() else "Java is not installed"
        raise SparkIncompatibleError(
            f"{found}. Spark needs Java 17 or 21; run: sqlml doctor"
        ) from None


def _has_java() -> bool:
    return bool(os.environ.get("JAVA_HOME") or shutil.which("java"))


def _settings(home: Path, *, local: bool) -> dict[str, str]:
    log4j = Path(__file__).with_name("log4j2.properties").as_uri()
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.warehouse.dir": str(home / "spark-warehouse"),
        "spark.hadoop.javax.jdo.option.ConnectionURL": (
            f"jdbc:derby:;databaseName={home / 'metastore_db'};create=true"
        ),
        # Derby would leave its log in the working directory.
        "spark.driver.extraJavaOptions": (
            f"-Dlog4j2.configurationFile={log4j} -Dderby.stream.error.file={os.devnull}"
        ),
    }
    if local:  # else Spark looks its own host name up, which laptops on the move do not have
        settings |= {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
    return settings

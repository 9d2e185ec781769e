"""A Spark session as the command line uses it: quiet, with tables that stay."""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from sqlml.errors import SparkIncompatibleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import SparkSession

DEFAULT_MASTER = "local[*]"


def local_session(
    app_name: str = "sqlml",
    *,
    hive: bool = True,
    directory: str | Path = ".",
    master: str | None = None,
    conf: Mapping[str, str] | None = None,
) -> SparkSession:
    """A Spark session whose tables live in `directory`, under Spark's own names there.

    With `hive`, tables stay: `metastore_db` and `spark-warehouse`. The master is `master`,
    else SPARK_MASTER, else this machine; under spark-submit it is spark-submit's. Only errors
    are logged. What is set here yields to spark-defaults.conf, hive-site.xml, the settings of
    spark-submit and `conf`, in this order.
    Raises `SparkIncompatibleError` where Java is missing or Spark does not start.

        >>> spark = local_session()                                       # doctest: +SKIP
    """
    from pyspark.errors import PySparkException
    from pyspark.logger import PySparkLogger
    from pyspark.sql import SparkSession

    home = Path(directory).resolve()
    home.mkdir(parents=True, exist_ok=True)  # Derby makes one level only
    # PySpark logs each error that it raises as JSON with the whole Java stack.
    PySparkLogger.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL + 1)
    # Workers run "python3" of the PATH otherwise, which need not be this environment.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    try:
        given = _given_settings()
        if not _submitted():
            given |= _given_master(master)
        ours = _settings(home, hive, local=given.get("spark.master", "").startswith("local"))
        builder = SparkSession.builder.appName(app_name)
        for key, value in (ours | given | dict(conf or {})).items():
            builder = builder.config(key, value)
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


def _submitted() -> bool:
    # spark-submit has started the JVM, and this process from it.
    return "PYSPARK_GATEWAY_PORT" in os.environ


def _given_master(master: str | None) -> dict[str, str]:
    chosen = master or os.environ.get("SPARK_MASTER")
    return {"spark.master": chosen} if chosen else {}


def _given_settings() -> dict[str, str]:
    """What spark-submit or spark-defaults.conf says, which a builder would override."""
    from pyspark import SparkConf, SparkContext

    if _submitted():
        SparkContext._ensure_initialized()
        return dict(SparkConf().getAll())
    defaults = _conf_directory() / "spark-defaults.conf"
    if not defaults.is_file():
        return {"spark.master": DEFAULT_MASTER}
    # A file of Java properties: "key value", "key=value" or "key: value".
    lines = re.findall(r"^\s*([^#!\s=:]+)[\s=:]+(.*?)\s*$", defaults.read_text(), re.MULTILINE)
    return {"spark.master": DEFAULT_MASTER} | dict(lines)


def _conf_directory() -> Path:
    from pyspark.find_spark_home import _find_spark_home

    return Path(os.environ.get("SPARK_CONF_DIR") or Path(_find_spark_home()) / "conf")


def _hive_site() -> set[str]:
    """The keys of hive-site.xml, whose values the settings of Spark would override."""
    file = _conf_directory() / "hive-site.xml"
    if not file.is_file():
        return set()
    return {name.text or "" for name in ElementTree.parse(file).findall("property/name")}


def _settings(home: Path, hive: bool, *, local: bool) -> dict[str, str]:
    log4j = Path(__file__).with_name("log4j2.properties").as_uri()
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        # Options of the user's own, spark.driver.extraJavaOptions, come after these. Derby would
        # leave its log in the working directory.
        "spark.driver.defaultJavaOptions": (
            f"-Dlog4j2.configurationFile={log4j} -Dderby.stream.error.file={os.devnull}"
        ),
    }
    if hive:
        settings["spark.sql.catalogImplementation"] = "hive"
    in_hive_site = _hive_site()
    if "hive.metastore.warehouse.dir" not in in_hive_site:
        settings["spark.sql.warehouse.dir"] = str(home / "spark-warehouse")
    if "javax.jdo.option.ConnectionURL" not in in_hive_site:
        settings["spark.hadoop.javax.jdo.option.ConnectionURL"] = (
            f"jdbc:derby:;databaseName={home / 'metastore_db'};create=true"
        )
    if local:  # else Spark looks its own host name up, which laptops on the move do not have
        settings |= {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
    return settings

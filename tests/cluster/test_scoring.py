"""On a cluster whose Python has never heard of sqlml, models score as on one machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from .driver import application
from .work import FILES, MODELS, arguments, published_name, results

if TYPE_CHECKING:
    from pathlib import Path

    from .driver import Driver
    from .standalone import Cluster
    from .work import Results, Work


@pytest.fixture(scope="module")
def there(driver: Driver, work: Work, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What the queries give on the two workers."""
    directory = tmp_path_factory.mktemp("there")
    driver.call("score", **arguments(work, work.predict | work.registered, directory))
    return results(directory)


def test_executors_have_no_sqlml(driver: Driver, cluster: Cluster) -> None:
    """Each works in its own directory, with a Python of its own that cannot import sqlml."""
    found: list[tuple[str, str, bool]] = driver.call("look_around")
    assert len({python for python, _, _ in found}) == 2
    directories = {directory.split("/app-")[0] for _, directory, _ in found}
    assert directories == {str(cluster.home / "one"), str(cluster.home / "two")}
    assert not any(importable for _, _, importable in found)


@pytest.mark.parametrize("form", ["table", "scalar", "functions"])
@pytest.mark.parametrize("view", MODELS)
def test_a_cluster_gives_the_rows_of_one_machine(
    view: str, form: str, here: Results, there: Results
) -> None:
    """PREDICT and registered functions give the same rows on two workers as on local[2]."""
    assert there[f"{view}-{form}"] == here[f"{view}-{form}"]


def test_a_column_function_scores_on_a_cluster(here: Results, there: Results) -> None:
    """What `sqlml.udf` makes brings its code along as a registered function does."""
    assert there["column"] == here["column"]


def test_both_workers_take_part(driver: Driver, there: Results) -> None:
    """The rows above were scored by two executors."""
    assert len([done for done in driver.tasks().values() if done >= FILES]) == 2


def test_spark_connect_scores_on_a_cluster(
    driver: Driver, work: Work, here: Results, tmp_path: Path
) -> None:
    """A Connect client of this driver has PREDICT, and registers functions of its own."""
    rows = tmp_path / "rows"
    rows.mkdir()
    with application(driver.call("serve"), tmp_path / "client") as client:
        client.call("score", **arguments(work, work.predict | work.registered, rows))
    assert results(rows) == here


def test_an_executor_that_takes_the_place_of_a_lost_one_scores(
    driver: Driver, cluster: Cluster, work: Work, tmp_path: Path
) -> None:
    """A worker is killed in the middle of a query, another comes: no row is lost or wrong."""
    view = next(iter(MODELS))
    query = f"SELECT * FROM PREDICT('{published_name(view)}', TABLE({{}})) ORDER BY ALL"
    expected = driver.call("run", query=query.format(view))
    before = driver.tasks()

    driver.ask("score_slowly", query=query.format("slow"), view=view, marks=str(tmp_path))
    end = time.monotonic() + 120
    while len(list(tmp_path.iterdir())) < 6 and time.monotonic() < end:
        time.sleep(0.1)
    cluster.kill("two")
    cluster.start_workers({"three": cluster.pythons["two"]})
    assert driver.answer() == expected
    assert len(list(tmp_path.iterdir())) > 6

    assert driver.call("wait_for_executors", count=2) == 2
    assert driver.call("run", query=query.format(view)) == expected
    assert len(driver.tasks().keys() - before.keys()) == 1

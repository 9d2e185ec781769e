"""Which column becomes which input: pure rules, without Spark."""

from __future__ import annotations

import pytest

from sqlml.errors import ArgumentError, InputAmbiguousError, InputCountError, InputMissingError
from sqlml.signature import Input
from sqlml.spark.binding import Offer, bind_arguments, bind_columns

INPUTS = (Input("age", "DOUBLE", "DOUBLE"), Input("home.dest", "STRING", "STRING"))


def column(name: str | None, kind: str = "VOID", *, explicit: bool = False) -> Offer:
    return Offer(name, kind, name or "1", explicit)


def test_columns_bind_by_name_whatever_their_order_and_company():
    offers = [column("x"), column("home.dest"), column("y"), column("AGE")]
    assert bind_columns("m", INPUTS, offers, case_sensitive=False) == [3, 1]


def test_case_counts_where_spark_says_so():
    offers = [column("age"), column("AGE"), column("home.dest")]
    assert bind_columns("m", INPUTS, offers, case_sensitive=True) == [0, 2]
    with pytest.raises(InputAmbiguousError):
        bind_columns("m", INPUTS, offers, case_sensitive=False)


def test_nameless_arguments_bind_by_position_and_their_count_is_checked():
    assert bind_arguments("m", INPUTS, [column(None), column(None)], case_sensitive=False) == [0, 1]
    with pytest.raises(InputCountError):
        bind_arguments("m", INPUTS, [column(None)], case_sensitive=False)


def test_named_arguments_never_bind_by_position():
    with pytest.raises(InputMissingError):
        bind_arguments("m", INPUTS, [column("a"), column("b")], case_sensitive=False)


def test_a_mixture_of_named_and_nameless_arguments_is_an_error():
    with pytest.raises(InputAmbiguousError, match=r"`home\.dest` => 1"):
        bind_arguments("m", INPUTS, [column("age"), column(None)], case_sensitive=False)


def test_an_argument_named_for_no_input_is_an_error_and_a_column_is_not():
    given = [column("age"), column("home.dest")]
    extra = [*given, column("other")]
    assert bind_arguments("m", INPUTS, extra, case_sensitive=False) == [0, 1]
    with pytest.raises(ArgumentError, match=r"no input .agee.\. Did you mean .age."):
        bind_arguments("m", INPUTS, [*given, column("agee", explicit=True)], case_sensitive=False)

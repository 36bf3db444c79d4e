"""Names from SQL to Python."""

from __future__ import annotations

import keyword

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from sqlc_gen_asyncpg import naming


@pytest.mark.parametrize(
    ("query", "function"),
    [
        ("ListFeedback", "list_feedback"),
        ("SearchCrewAIMemoryByTask", "search_crewai_memory_by_task"),
        ("GetHTTPURL", "get_http_url"),
        ("GetURL", "get_url"),
        ("GetUrl", "get_url"),
        ("StoreAPIURLs", "store_api_urls"),
        ("getUser2", "get_user2"),
        ("Get2FACode", "get2_fa_code"),
        ("list_feedback", "list_feedback"),
        ("A", "a"),
        ("Identify", "identify"),
        ("ListIDs", "list_ids"),
    ],
)
def test_a_query_becomes_a_function_in_snake_case(query: str, function: str) -> None:
    assert naming.snake(query) == function


def test_a_word_of_the_options_is_one_word() -> None:
    assert naming.snake("GetFooBARBaz") == "get_foo_bar_baz"
    assert naming.snake("GetFooBARBaz", ["FooBAR"]) == "get_foobar_baz"


@pytest.mark.parametrize(
    ("table", "one"),
    [
        ("users", "user"),
        ("lg_checkpoints", "lg_checkpoint"),
        ("categories", "category"),
        ("batches", "batch"),
        ("caches", "cache"),
        ("boxes", "box"),
        ("addresses", "address"),
        ("statuses", "status"),
        ("people", "person"),
        ("movies", "movie"),
        ("status", "status"),
        ("data", "data"),
        ("redis", "redis"),
        ("analysis", "analysis"),
        ("feedback", "feedback"),
        ("metrics", "metric"),
        ("news", "news"),
        ("class", "class"),
        ("gas", "gas"),
        ("s", "s"),
    ],
)
def test_a_table_becomes_its_singular_only_where_that_is_sure(table: str, one: str) -> None:
    assert naming.singular(table) == one


def test_an_excluded_table_keeps_its_name() -> None:
    assert naming.singular("users", ["users"]) == "users"


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("id", "id"),
        ("type", "type"),
        ("class", "class_"),
        ("schema", "schema_"),
        ("copy", "copy_"),
        ("model_config", "model_config_"),
        ("model_dump_x", "model_dump_x"),
        ("model_name", "model_name"),
        ("self", "self_"),
        ("_x", "x_"),
        ("two words", "two_words"),
        ("1st", "column_1st"),
        ("dt", "dt_"),
    ],
)
def test_a_field_shadows_nothing(name: str, field: str) -> None:
    assert naming.field_name(name) == field


def test_every_attribute_of_a_model_is_known() -> None:
    public = {each for each in dir(BaseModel) if not each.startswith("_")}
    assert public <= naming.MODEL_ATTRIBUTES


@given(st.text(min_size=1))
def test_any_column_becomes_a_field_that_python_and_pydantic_accept(name: str) -> None:
    field = naming.field_name(name)
    assert field.isidentifier()
    assert not keyword.iskeyword(field)
    assert not field.startswith("_")
    assert field not in naming.MODEL_ATTRIBUTES


@given(st.text(min_size=1) | st.from_regex(r"_?[A-Z_0-9]+", fullmatch=True), st.text(min_size=1))
def test_any_parameter_becomes_an_argument(name: str, query: str) -> None:
    constant = naming.constant_name(naming.function_name(query))
    argument = naming.argument_name(name, constant)
    assert argument.isidentifier()
    assert not keyword.iskeyword(argument)
    assert argument not in {"db", constant, "__debug__"}
    assert naming.argument_name(constant, constant) != constant
    assert naming.argument_name(f"_{constant}_COLUMNS", constant).endswith("_")


@given(st.text())
def test_any_value_becomes_a_member(value: str) -> None:
    member = naming.enum_member(value)
    assert member.isidentifier()
    assert not member.startswith("_")


@given(st.text())
def test_any_table_becomes_a_class(name: str) -> None:
    assert naming.camel(name).isidentifier()


def test_a_file_becomes_a_module() -> None:
    assert naming.module_name("user-events.sql") == "user_events"
    assert naming.module_name("class.sql") == "class_"
    assert naming.module_name("1.sql") == "m_1"


@pytest.mark.parametrize("query", ["List", "Str", "Models", "Class", "Required"])
def test_a_function_hides_no_name_that_its_module_needs(query: str) -> None:
    assert naming.function_name(query) == f"{query.lower()}_"

"""Names from SQL to Python."""

from __future__ import annotations

import keyword

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from sqlc_gen_asyncpg import name_rules, naming


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
def test_query_name_becomes_snake_case(query: str, function: str) -> None:
    assert naming.snake(query) == function


def test_initialism_of_the_options_is_one_word() -> None:
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
def test_table_name_becomes_singular_unless_doubtful(table: str, one: str) -> None:
    assert naming.singular(table) == one


def test_excluded_table_is_not_inflected() -> None:
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
def test_field_name_hides_no_other_name(name: str, field: str) -> None:
    assert naming.field_name(name) == field


def test_all_attributes_of_a_model_are_reserved() -> None:
    public = {each for each in dir(BaseModel) if not each.startswith("_")}
    assert public <= name_rules.MODEL_ATTRIBUTES


@given(st.text(min_size=1))
def test_any_column_name_becomes_a_valid_pydantic_field(name: str) -> None:
    field = naming.field_name(name)
    assert field.isidentifier()
    assert not keyword.iskeyword(field)
    assert not field.startswith("_")
    assert field not in name_rules.MODEL_ATTRIBUTES


@given(st.text(min_size=1) | st.from_regex(r"_?[A-Z_0-9]+", fullmatch=True), st.text(min_size=1))
def test_any_parameter_name_becomes_a_valid_argument(name: str, query: str) -> None:
    constant = naming.constant_name(naming.function_name(query))
    argument = naming.argument_name(name, constant)
    assert argument.isidentifier()
    assert not keyword.iskeyword(argument)
    assert argument not in {"db", constant, "__debug__"}
    assert naming.argument_name(constant, constant) != constant
    assert naming.argument_name(f"_{constant}_COLUMNS", constant).endswith("_")
    assert naming.argument_name(f"_read_{query}", constant).endswith("_")


@given(st.text())
def test_any_enum_value_becomes_a_valid_member(value: str) -> None:
    member = naming.enum_member(value)
    assert member.isidentifier()
    assert not member.startswith("_")


@given(st.text())
def test_any_table_name_becomes_a_valid_class_name(name: str) -> None:
    assert naming.camel(name).isidentifier()


def test_file_name_becomes_a_module_name() -> None:
    assert naming.module_name("user-events.sql") == "user_events"
    assert naming.module_name("class.sql") == "class_"
    assert naming.module_name("1.sql") == "m_1"


@pytest.mark.parametrize("query", ["List", "Str", "Models", "Class", "Required"])
def test_function_name_hides_no_name_of_its_module(query: str) -> None:
    assert naming.function_name(query) == f"{query.lower()}_"

"""The options of the plugin block."""

from __future__ import annotations

import pytest

from sqlc_gen_asyncpg.errors import GeneratorError
from sqlc_gen_asyncpg.options import EnumSpec, parse_options


def test_package_is_the_only_required_option() -> None:
    options = parse_options({"package": "app.gen"})
    assert options.package == "app.gen"
    assert options.strict
    assert options.query_parameter_limit is None


def test_options_of_sqlc_gen_python_are_accepted() -> None:
    options = parse_options(
        {
            "package": "gen",
            "emit_async_querier": True,
            "emit_exact_table_names": True,
            "emit_pydantic_models": True,
            "emit_str_enum": True,
            "emit_sync_querier": False,
            "inflection_exclude_table_names": ["news"],
            "query_parameter_limit": 4,
        }
    )
    assert options.emit_exact_table_names
    assert options.query_parameter_limit == 4


def test_override_declares_an_enum_for_a_text_column() -> None:
    enum = {"name": "Kind", "values": ["a", "b"]}
    options = parse_options({"package": "gen", "overrides": [{"column": "t.c", "enum": enum}]})
    assert options.overrides[0].enum == EnumSpec("Kind", ("a", "b"))


CONVERTER = {"name": "c", "py_type": "str", "from_db": "app.a", "to_db": "app.b"}
WRONG: list[tuple[dict[str, object], str]] = [
    ({"packge": "x"}, "packge is not an option"),
    ({"package": ""}, "package must be a text"),
    ({"package": "a-b"}, "package must be an import name"),
    ({"emit_sync_querier": True}, "emit_sync_querier: true is not possible"),
    ({"emit_async_querier": False}, "emit_async_querier: false is not possible"),
    ({"emit_pydantic_models": False}, "emit_pydantic_models: false is not possible"),
    ({"emit_str_enum": "yes"}, "emit_str_enum must be true or false"),
    ({"unnamed_parameters": "arg"}, "unnamed_parameters must be one of error, number"),
    ({"query_parameter_limit": -1}, "query_parameter_limit must be a number"),
    ({"query_parameter_limit": True}, "query_parameter_limit must be a number"),
    ({"initialisms": "API"}, "initialisms must be a list"),
    ({"initialisms": [1]}, r"initialisms\[0\] must be a text"),
    ({"rename": {"a": "1"}}, "rename.a: '1' is not a name"),
    ({"rename": {"a": "class"}}, "rename.a: 'class' is not a name"),
    ({"rename": []}, "rename must be a mapping"),
    ({"converters": {}}, "converters must be a list"),
    ({"converters": [{"name": "x"}]}, r"converters\[0\] must have the keys name, py_type, from_db"),
    ({"converters": [{**CONVERTER, "to_db": "f"}]}, "to_db must be package.module.name, not 'f'"),
    ({"converters": [{**CONVERTER, "py_type": "a b"}]}, "py_type must be a name such as Decimal"),
    ({"converters": [{**CONVERTER, "to_db": "app.class.f"}]}, "must be package.module.name"),
    ({"package": "app.class"}, "package must be an import name"),
    ({"converters": [CONVERTER, CONVERTER]}, r"converters\[1\].name: there is another converter"),
    ({"overrides": [{"column": "a.b", "converter": "x"}]}, r"\[0\].converter: no converter is x"),
    ({"composites": {"a": {}}}, "composites.a must have at least one field"),
    ({"composites": {"a": {"b": "c?"}}}, "composites.a.b: 'c\\?' is not a type"),
    ({"composites": []}, "composites must be a mapping"),
    ({"domains": {"a": ""}}, "domains.a must be a text"),
    ({"docstrings": "google"}, "docstrings must be one of comments, sql, none, not 'google'"),
    ({"input_base_class": "Input"}, "input_base_class must be package.module.name, not 'Input'"),
    ({"json": "yes"}, "json must be one of codec, binary, text, not 'yes'"),
    ({"vector": True}, "vector must be one of pgvector, list, not True"),
    ({"overrides": {}}, "overrides must be a list"),
    ({"overrides": [{"column": "a.b"}]}, r"overrides\[0\]: give either py_type or enum"),
    ({"overrides": [{"py_type": "str"}]}, "give either column or db_type"),
    ({"overrides": [{"column": "b", "py_type": "str"}]}, "must be table.column"),
    ({"overrides": [{"column": "a.b", "type": "str"}]}, "type is not a key of an override"),
    (
        {"overrides": [{"column": "a.b", "nullable": True, "py_type": "str"}]},
        "nullable goes with db_type",
    ),
    (
        {"overrides": [{"column": "a.b", "enum": {"name": "K", "values": []}}]},
        "different texts, at least one",
    ),
    (
        {"overrides": [{"column": "a.b", "enum": {"name": "K-", "values": ["a"]}}]},
        "'K-' is not a name",
    ),
]


@pytest.mark.parametrize(("option", "message"), WRONG)
def test_invalid_option_is_refused_with_its_key(option: dict[str, object], message: str) -> None:
    with pytest.raises(GeneratorError, match=message):
        parse_options({"package": "gen", **option})


def test_all_invalid_options_are_reported() -> None:
    with pytest.raises(GeneratorError) as caught:
        parse_options({"a": 1, "b": 2})
    assert len(str(caught.value).split("\n")) == 3

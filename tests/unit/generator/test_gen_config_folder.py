"""The folder of the configuration that sqlc was called with."""

from __future__ import annotations

import os

import pytest

from sqlc_gen_asyncpg import config_folder
from sqlc_gen_asyncpg.config_folder import config_file


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        ([], ""),
        (["-f", "db/sqlc.yaml"], "db/sqlc.yaml"),
        (["-fdb/sqlc.yaml"], "db/sqlc.yaml"),
        (["-f=db/sqlc.yaml"], "db/sqlc.yaml"),
        (["--file", "a b/sqlc.yaml"], "a b/sqlc.yaml"),
        (["--file=db/sqlc.yaml", "--no-remote"], "db/sqlc.yaml"),
        (["--no-remote"], ""),
        (["-f"], ""),
    ],
)
def test_file_is_read_from_the_arguments_of_sqlc(arguments: list[str], file: str) -> None:
    assert config_file(["/usr/bin/sqlc", "generate", *arguments]) == file


def test_process_without_sqlc_above_it_uses_the_current_folder() -> None:
    assert config_folder.config_folder() == ""


def test_ps_lists_parent_and_arguments_where_proc_is_absent() -> None:
    parent, arguments = config_folder.listed_parent_and_arguments(os.getpid())

    assert parent == os.getppid()
    assert arguments


def test_process_that_ended_has_no_arguments() -> None:
    assert config_folder.parent_and_arguments(2**22 + 1) == (0, [])

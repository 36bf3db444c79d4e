"""The process plugin: a request on stdin, the files on stdout, problems on stderr.

Exit code 1 means that nothing was generated; stderr has one line for each problem.
"""

from __future__ import annotations

import sys
from typing import Final

from sqlc_gen_asyncpg import protocol
from sqlc_gen_asyncpg.build.package import build
from sqlc_gen_asyncpg.config_folder import config_folder
from sqlc_gen_asyncpg.errors import GeneratorError, InternalError
from sqlc_gen_asyncpg.render.package import render
from sqlc_gen_asyncpg.sqlfiles import require_files

__all__ = ["generate", "main"]

_METHOD: Final = "/"  # sqlc adds the method of its protocol: /plugin.CodegenService/Generate


def generate(raw: bytes, directory: str = "") -> bytes:
    """Return the response to a request, whose paths are relative to `directory`.

    Raises:
        GeneratorError: with a line for each problem.
        InternalError: the generator has a fault.

    """
    request = protocol.decode(raw)
    require_files(request, directory)
    return protocol.encode(render(build(request, directory)))


def main() -> None:
    """Answer one request of sqlc, or run the command in the arguments."""
    arguments = sys.argv[1:]
    if arguments and not arguments[0].startswith(_METHOD):
        from sqlc_gen_asyncpg.check import command  # noqa: PLC0415  # sqlc waits for the imports of a plugin

        sys.exit(command.run(arguments))
    if not arguments and sys.stdin.isatty():
        sys.stderr.write("sqlc runs this program with a request on stdin; see --help\n")
        sys.exit(2)
    # Bytes on both sides: sqlc runs a plugin without LANG.
    try:
        response = generate(sys.stdin.buffer.read(), config_folder())
    except (GeneratorError, InternalError) as error:
        sys.stderr.buffer.write(f"{error}\n".encode())
        sys.exit(1)
    except Exception as error:  # noqa: BLE001  # sqlc would show the user a traceback
        sys.stderr.buffer.write(f"sqlc-gen-asyncpg: internal error: {error!r}\n".encode())
        sys.exit(1)
    sys.stdout.buffer.write(response)


if __name__ == "__main__":
    main()

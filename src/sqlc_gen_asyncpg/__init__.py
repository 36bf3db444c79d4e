"""A sqlc plugin that writes typed asyncpg functions and pydantic models from SQL."""

from typing import Final

__all__ = ["SQLC_VERSION", "__version__"]

__version__: Final = "0.1.0"

# sqlc's analyser changes between releases, and with it the types it infers.
SQLC_VERSION: Final = "v1.31.1"

"""Streams that are not read, which would otherwise delay the end of a client."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agentrows.db.sources import TransactionScope

__all__ = ["UNREAD_S", "StreamReads"]

logger = logging.getLogger(__name__)

UNREAD_S: Final = 1.0
"""`close` ends a stream of which no row was read for this time."""


class StreamReads:
    """The count of rows that each open stream had read at one moment."""

    def __init__(self, streams: set[TransactionScope]) -> None:
        self._streams = streams
        self._reads = {scope: scope.reads for scope in streams}

    def list_unread(self) -> list[TransactionScope]:
        """Return the streams that have read no row since that moment, and log a warning for each.

        A stream that waits for the server at this moment is not among them.
        """
        unread = [
            scope
            for scope, count in self._reads.items()
            if scope in self._streams
            and not (scope.reads != count or scope.is_busy or scope.has_ended)
        ]
        for _ in unread:
            logger.warning(
                "closing the client ends a stream that was not read for %g s; "
                "end a stream early with contextlib.aclosing",
                UNREAD_S,
            )
        return unread

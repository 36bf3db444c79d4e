"""Tools, and the servers that offer them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentrows.errors import Conflict, InvalidValue, NotFound
from agentrows.gen import tools as queries
from agentrows.gen.models import NewTool, Tool, ToolServer
from agentrows.stores._requirements import check_read_committed, new_snapshots
from agentrows.validation import (
    UNSET,
    check_after,
    check_batch,
    check_id,
    check_limit,
    check_optional_id,
    check_optional_moment,
    check_optional_text,
    check_text,
    given,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from agentrows.db.executor import Executor
    from agentrows.gen.models import RefreshedTools
    from agentrows.validation import Unset


@dataclass(frozen=True)
class ToolStore:
    """Tools by (id, server name, group kind), servers by (name, group kind)."""

    db: Executor

    async def store_tool(
        self,
        id: str,
        *,
        server_name: str,
        group_kind: str,
        description: str | Unset | None = UNSET,
    ) -> Tool:
        """Store a tool and return it; a deleted one comes back.

        `description` left out keeps the stored one, None clears it.
        """
        return await queries.upsert_tool(
            self.db.repeatable,
            id=check_id("id", id),
            server_name=check_id("server_name", server_name),
            group_kind=check_id("group_kind", group_kind),
            description=check_optional_text("description", description),
            set_description=given(description),
        )

    async def get_tool(
        self, id: str, *, server_name: str | None = None, group_kind: str | None = None
    ) -> Tool:
        """Return the one tool with this id, of one server and kind or of any.

        Raises NotFound if there is none, and Conflict if there are several.
        """
        found = await queries.find_tools(
            self.db.repeatable,
            id=check_id("id", id),
            server_name=check_optional_id("server_name", server_name),
            group_kind=check_optional_id("group_kind", group_kind),
        )
        if len(found) > 1:
            raise Conflict(f"tool {id!r} is of several servers: give server_name and group_kind")
        if not found:
            raise NotFound(f"no tool {id!r}")
        return found[0]

    async def list_tools(
        self, *, limit: int | None = None, after: Tool | None = None
    ) -> list[Tool]:
        """Return all tools in the order of their keys, at most `limit`, from `after` a row on."""
        check_after(after, Tool, "id", "server_name", "group_kind")
        return await queries.list_tools(
            self.db.repeatable,
            after_id=after.id if after else "",
            after_server_name=after.server_name if after else "",
            after_group_kind=after.group_kind if after else "",
            limit=check_limit("limit", limit),
        )

    async def list_tools_for_server(
        self,
        server_name: str,
        *,
        group_kind: str,
        limit: int | None = None,
        after: Tool | None = None,
    ) -> list[Tool]:
        """Return a server's tools by id, at most `limit`, from `after` a row on."""
        check_after(after, Tool, "id")
        return await queries.list_tools_for_server(
            self.db.repeatable,
            server_name=check_id("server_name", server_name),
            group_kind=check_id("group_kind", group_kind),
            after_id=after.id if after else "",
            limit=check_limit("limit", limit),
        )

    async def delete_tools_for_server(self, server_name: str, *, group_kind: str) -> bool:
        """Mark a server's tools as deleted; say whether there were any."""
        deleted = await queries.delete_tools_for_server(
            self.db.repeatable,
            server_name=check_id("server_name", server_name),
            group_kind=check_id("group_kind", group_kind),
        )
        return deleted > 0

    async def refresh_tools_for_server(
        self, server_name: str, *, group_kind: str, tools: Iterable[NewTool]
    ) -> RefreshedTools:
        """Make a server's tools exactly these, and return how many were stored and deleted.

        Only rows that differ are written. Refreshes of one server run one after another, so the
        result is one of the sets and never a mixture; a transaction around it must be read
        committed, to see what the one before it did. An id that comes twice is InvalidValue.
        """
        check_id("server_name", server_name)
        check_id("group_kind", group_kind)
        tools = check_batch("tools", tools, NewTool)
        for place, tool in enumerate(tools):
            check_id(f"tools[{place}].id", tool.id)
            if tool.description is not None:
                check_text(f"tools[{place}].description", tool.description)
        if len({tool.id for tool in tools}) < len(tools):
            raise InvalidValue("tools has the same id more than once")

        async def refresh(db: Executor) -> RefreshedTools:
            locked = await queries.lock_tools_of_server(
                db, server_name=server_name, group_kind=group_kind
            )
            check_read_committed(locked.isolation, "refresh_tools_for_server")
            return await queries.refresh_tools_for_server(
                db, server_name=server_name, group_kind=group_kind, tools=tools
            )

        return await self.db.repeat(refresh, isolation=new_snapshots(self.db))

    async def store_tool_server(
        self,
        name: str,
        *,
        group_kind: str,
        description: str | Unset | None = UNSET,
        last_connected: datetime | Unset | None = UNSET,
    ) -> ToolServer:
        """Store a server and return it; a deleted one comes back.

        An argument left out keeps the stored value, None clears it.
        """
        return await queries.upsert_tool_server(
            self.db.repeatable,
            name=check_id("name", name),
            group_kind=check_id("group_kind", group_kind),
            description=check_optional_text("description", description),
            set_description=given(description),
            last_connected=check_optional_moment("last_connected", last_connected),
            set_last_connected=given(last_connected),
        )

    async def get_tool_server(self, name: str, *, group_kind: str | None = None) -> ToolServer:
        """Return the one server with this name, of one group kind or of any.

        Raises NotFound if there is none, and Conflict if there are several.
        """
        found = await queries.find_tool_servers(
            self.db.repeatable,
            name=check_id("name", name),
            group_kind=check_optional_id("group_kind", group_kind),
        )
        if len(found) > 1:
            raise Conflict(f"tool server {name!r} is of several kinds: give group_kind")
        if not found:
            raise NotFound(f"no tool server {name!r}")
        return found[0]

    async def list_tool_servers(
        self, *, limit: int | None = None, after: ToolServer | None = None
    ) -> list[ToolServer]:
        """Return all servers in the order of their keys, at most `limit`, from `after` a row on."""
        check_after(after, ToolServer, "name", "group_kind")
        return await queries.list_tool_servers(
            self.db.repeatable,
            after_name=after.name if after else "",
            after_group_kind=after.group_kind if after else "",
            limit=check_limit("limit", limit),
        )

    async def delete_tool_server(self, name: str, *, group_kind: str) -> bool:
        """Mark a server as deleted, not its tools; say whether there was one."""
        deleted = await queries.delete_tool_server(
            self.db.repeatable,
            name=check_id("name", name),
            group_kind=check_id("group_kind", group_kind),
        )
        return deleted > 0

"""Tools and the servers that offer them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentrows.errors import Conflict, InvalidValue, NotFound
from agentrows.gen import tools as queries
from agentrows.gen.models import NewTool, Tool, ToolServer
from agentrows.stores._isolation import check_read_committed, choose_isolation
from agentrows.stores._pages import Page, PageOrder, Pages
from agentrows.validation import (
    UNSET,
    check_batch,
    check_id,
    check_limit,
    check_optional_id,
    check_optional_moment,
    check_optional_text,
    check_text,
    is_set,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from agentrows.db.executor import Executor
    from agentrows.gen.models import RefreshedTools
    from agentrows.validation import Unset

TOOLS_BY_KEY: Final = PageOrder(Tool, ("id", "server_name", "group_kind"), ("", "", ""))
TOOLS_BY_ID: Final = PageOrder(Tool, ("id",), ("",))
SERVERS_BY_KEY: Final = PageOrder(ToolServer, ("name", "group_kind"), ("", ""))


@dataclass(frozen=True)
class ToolStore:
    """Store of tools and tool servers, which have no owner: every user sees all of them.

    The key of a tool is (id, server name, group kind); the key of a server is (name, group kind).
    """

    db: Executor

    async def store_tool(
        self,
        id: str,
        *,
        server_name: str,
        group_kind: str,
        description: str | Unset | None = UNSET,
    ) -> Tool:
        """Store a tool and return it.

        A `description` left out keeps the stored value; None clears it. A deleted tool is restored.
        """
        return await queries.upsert_tool(
            self.db.repeatable,
            id=check_id("id", id),
            server_name=check_id("server_name", server_name),
            group_kind=check_id("group_kind", group_kind),
            description=check_optional_text("description", description),
            set_description=is_set(description),
        )

    async def get_tool(
        self, id: str, *, server_name: str | None = None, group_kind: str | None = None
    ) -> Tool:
        """Return the tool with an id, of one server and group kind or of any.

        Raises:
            Conflict: tools of several servers have this id.
            NotFound: no tool has this id, or it is deleted.

        """
        tools = await queries.find_tools(
            self.db.repeatable,
            id=check_id("id", id),
            server_name=check_optional_id("server_name", server_name),
            group_kind=check_optional_id("group_kind", group_kind),
        )
        if len(tools) > 1:
            raise Conflict(
                f"tool {id!r} exists on several servers: give server_name and group_kind"
            )
        if not tools:
            raise NotFound(f"no tool {id!r}")
        return tools[0]

    async def list_tools(
        self, *, limit: int | None = None, after: Tool | str | None = None
    ) -> Page[Tool]:
        """Return all tools, ordered by key.

        At most `limit` rows, or all with None. Pass `next_token`, or the last row, as `after` for
        the next page.
        """
        pages = Pages(self.db, "list_tools", TOOLS_BY_KEY, {})
        after_id, after_server_name, after_group_kind = pages.start(after)
        tools = await queries.list_tools(
            self.db.repeatable,
            after_id=after_id,
            after_server_name=after_server_name,
            after_group_kind=after_group_kind,
            limit=check_limit("limit", limit),
        )
        return pages.page(tools, limit)

    async def list_tools_for_server(
        self,
        server_name: str,
        *,
        group_kind: str,
        limit: int | None = None,
        after: Tool | str | None = None,
    ) -> Page[Tool]:
        """Return the tools of a server, ordered by id.

        At most `limit` rows, or all with None. Pass `next_token`, or the last row, as `after` for
        the next page.
        """
        server = {
            "server_name": check_id("server_name", server_name),
            "group_kind": check_id("group_kind", group_kind),
        }
        pages = Pages(self.db, "list_tools_for_server", TOOLS_BY_ID, server)
        (after_id,) = pages.start(after)
        tools = await queries.list_tools_for_server(
            self.db.repeatable, **server, after_id=after_id, limit=check_limit("limit", limit)
        )
        return pages.page(tools, limit)

    async def delete_tools_for_server(self, server_name: str, *, group_kind: str) -> bool:
        """Mark the tools of a server as deleted; return whether any existed."""
        deleted = await queries.delete_tools_for_server(
            self.db.repeatable,
            server_name=check_id("server_name", server_name),
            group_kind=check_id("group_kind", group_kind),
        )
        return deleted > 0

    async def refresh_tools_for_server(
        self, server_name: str, *, group_kind: str, tools: Iterable[NewTool]
    ) -> RefreshedTools:
        """Replace the tools of a server and return the numbers of stored and deleted tools.

        Only rows that differ are written. Refreshes of one server run one after another, so the
        result is one of the given sets and never a mixture.

        Raises:
            InvalidValue: two tools have the same id, or the method is called in a transaction that
                is not read committed.

        """
        check_id("server_name", server_name)
        check_id("group_kind", group_kind)
        tools = check_batch("tools", tools, NewTool)
        for index, tool in enumerate(tools):
            check_id(f"tools[{index}].id", tool.id)
            if tool.description is not None:
                check_text(f"tools[{index}].description", tool.description)
        if len({tool.id for tool in tools}) < len(tools):
            raise InvalidValue("tools contains the same id more than once")

        async def refresh(db: Executor) -> RefreshedTools:
            locked = await queries.lock_tools_of_server(
                db, server_name=server_name, group_kind=group_kind
            )
            check_read_committed(locked.isolation, "refresh_tools_for_server")
            return await queries.refresh_tools_for_server(
                db, server_name=server_name, group_kind=group_kind, tools=tools
            )

        return await self.db.repeat(refresh, isolation=choose_isolation(self.db))

    async def store_tool_server(
        self,
        name: str,
        *,
        group_kind: str,
        description: str | Unset | None = UNSET,
        last_connected: datetime | Unset | None = UNSET,
    ) -> ToolServer:
        """Store a tool server and return it.

        An argument left out keeps the stored value; None clears it. A deleted server is restored.
        """
        return await queries.upsert_tool_server(
            self.db.repeatable,
            name=check_id("name", name),
            group_kind=check_id("group_kind", group_kind),
            description=check_optional_text("description", description),
            set_description=is_set(description),
            last_connected=check_optional_moment("last_connected", last_connected),
            set_last_connected=is_set(last_connected),
        )

    async def get_tool_server(self, name: str, *, group_kind: str | None = None) -> ToolServer:
        """Return the tool server with a name, of one group kind or of any.

        Raises:
            Conflict: servers of several group kinds have this name.
            NotFound: no server has this name, or it is deleted.

        """
        servers = await queries.find_tool_servers(
            self.db.repeatable,
            name=check_id("name", name),
            group_kind=check_optional_id("group_kind", group_kind),
        )
        if len(servers) > 1:
            raise Conflict(f"tool server {name!r} exists in several group kinds: give group_kind")
        if not servers:
            raise NotFound(f"no tool server {name!r}")
        return servers[0]

    async def list_tool_servers(
        self, *, limit: int | None = None, after: ToolServer | str | None = None
    ) -> Page[ToolServer]:
        """Return all tool servers, ordered by key.

        At most `limit` rows, or all with None. Pass `next_token`, or the last row, as `after` for
        the next page.
        """
        pages = Pages(self.db, "list_tool_servers", SERVERS_BY_KEY, {})
        after_name, after_group_kind = pages.start(after)
        servers = await queries.list_tool_servers(
            self.db.repeatable,
            after_name=after_name,
            after_group_kind=after_group_kind,
            limit=check_limit("limit", limit),
        )
        return pages.page(servers, limit)

    async def delete_tool_server(self, name: str, *, group_kind: str) -> bool:
        """Mark a tool server as deleted; return whether it existed. Its tools stay."""
        deleted = await queries.delete_tool_server(
            self.db.repeatable,
            name=check_id("name", name),
            group_kind=check_id("group_kind", group_kind),
        )
        return deleted > 0

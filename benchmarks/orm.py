"""The session table as a mapped class of SQLAlchemy's ORM."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The base of the mapped classes."""

    type_annotation_map = {datetime: TIMESTAMP(timezone=True)}  # noqa: RUF012  as its docs have it


class SessionRow(Base):
    """A row of the session table."""

    __tablename__ = "session"

    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    agent_id: Mapped[str | None]
    source: Mapped[str | None]
    created_at: Mapped[datetime | None]
    updated_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]

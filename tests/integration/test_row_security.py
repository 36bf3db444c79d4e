"""Row-level security: what `as_user` hides, whatever a statement forgets."""

from __future__ import annotations

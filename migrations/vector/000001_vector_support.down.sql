-- Drops the memories of agents; the extension stays, because others may use it.

DROP TABLE IF EXISTS memory;

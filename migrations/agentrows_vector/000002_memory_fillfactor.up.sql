-- Leaves room in each page of memories, so that counting one as read touches no index: without it
-- the new version of a row goes to another page, and into the HNSW index once more.

ALTER TABLE memory SET (fillfactor = 80);

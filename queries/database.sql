-- What the client asks of the database itself.
-- py: file

-- name: Ping :one
-- Answers 1.
SELECT 1 AS answer;

-- name: FindVectorSchema :one
-- The schema that holds pgvector's types; none if the extension is not installed.
SELECT n.nspname AS schema_name
FROM pg_catalog.pg_extension AS e
JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
WHERE e.extname = 'vector';

-- name: ProbeJson :one
-- A JSON value, which arrives as a list only where the connection has the codec for it.
SELECT '[1]'::jsonb AS value;

-- name: ProbeVector :one
-- A vector, which arrives as one only where the connection has pgvector's codec.
SELECT '[1]'::vector AS value;

-- Row-level security policies in the server's catalog.
-- py: file

-- name: FindPoliciesOfColumns :many
-- Return the policies that use these columns, by column.
--
-- PostgreSQL refuses to drop such a column while its policies exist.
-- py: row ColumnPolicies
-- py: doc ColumnPolicies The policies that use a column.
-- py: doc ColumnPolicies.policies Each policy with its table, such as `agentrows_owner on task`.
SELECT
    wanted.table_name::text AS "table!",
    wanted.column_name::text AS "column!",
    array_agg(
        DISTINCT format('%s on %s', p.polname, owner.relname)
        ORDER BY format('%s on %s', p.polname, owner.relname)
    )::text[] AS "policies!"
FROM (
    SELECT
        unnest(@table_names::text[]) AS table_name,
        unnest(@column_names::text[]) AS column_name
) AS wanted
INNER JOIN pg_catalog.pg_class AS c ON c.relname = wanted.table_name
INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = @schema::text
INNER JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attname = wanted.column_name
INNER JOIN
    pg_catalog.pg_depend AS d
    ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.refobjsubid = a.attnum
INNER JOIN pg_catalog.pg_policy AS p ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid
INNER JOIN pg_catalog.pg_class AS owner ON owner.oid = p.polrelid
GROUP BY wanted.table_name, wanted.column_name
ORDER BY wanted.table_name, wanted.column_name;

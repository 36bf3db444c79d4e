-- What the client asks of the database itself.
-- py: file

-- name: Ping :one
-- Answers 1.
SELECT 1 AS answer;

-- name: FindVectorSchema :one
-- The schema that holds pgvector's types, and whether statements find them there; no row if the
-- extension is not installed.
-- py: row VectorSchema
SELECT
    n.nspname AS schema_name,
    (to_regtype('vector') IS NOT NULL)::boolean AS "is_on_search_path!"
FROM pg_catalog.pg_extension AS e
JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
WHERE e.extname = 'vector';

-- name: LookAround :one
-- The user whose rows alone this transaction sees, empty if it sees all rows; whether it sees none,
-- because no user is set and a policy denies what is not scoped; whether there are the
-- tables that not every database has, and whether a tracking table says that the one of memories is
-- that of the track vector; and the isolation level of the transaction.
-- py: one!
-- py: row Surroundings
SELECT
    coalesce(current_setting('agentrows.user_id', true), '')::text AS "user_id!",
    (
        coalesce(current_setting('agentrows.user_id', true), '') = ''
        AND coalesce(current_setting('agentrows.unscoped', true), '') = 'deny'
        AND coalesce(row_security_active(to_regclass('session')), false)
    )::boolean AS "is_denied!",
    (to_regclass('agentrows_feedback_key') IS NOT NULL)::boolean AS "has_feedback_keys!",
    (to_regclass('memory') IS NOT NULL)::boolean AS "has_memory!",
    (to_regclass('vector_schema_migrations') IS NOT NULL)::boolean AS "has_vector_track!",
    current_setting('transaction_isolation')::text AS "isolation!";

-- name: BecomeUser :one
-- Let this transaction see and change the rows of one user alone. The answer names the tables on
-- which no policy holds for this role: it is a superuser, it has BYPASSRLS, or there is none. It
-- contains, too, whether the extension citus is installed, whose nodes do not get the user's id.
SELECT
    set_config('agentrows.user_id', @user_id::text, true)::text AS "user_id!",
    EXISTS (
        SELECT 1 FROM pg_catalog.pg_extension AS e
        WHERE e.extname = 'citus'
    )::boolean AS "is_citus!",
    coalesce(string_agg(relname::text, ', ' ORDER BY relname), '')::text AS "open_tables!"
FROM pg_catalog.pg_class
WHERE
    (
        oid IN (
            to_regclass('session'),
            to_regclass('event'),
            to_regclass('task'),
            to_regclass('push_notification'),
            to_regclass('feedback'),
            to_regclass('agentrows_feedback_key'),
            to_regclass('lg_checkpoint'),
            to_regclass('lg_checkpoint_write'),
            to_regclass('crewai_agent_memory'),
            to_regclass('crewai_flow_state'),
            to_regclass('session_share'),
            to_regclass('session_share_access')
        )
        OR (
            oid = to_regclass('memory')
            AND to_regclass('vector_schema_migrations') IS NOT NULL
        )
    )
    AND NOT row_security_active(oid);

-- name: ProbeJson :one
-- A JSON value, which arrives as a list only where the connection has the codec for it.
SELECT '[1]'::jsonb AS value;

-- name: ProbeVector :one
-- A vector, which arrives as one only where the connection has pgvector's codec.
SELECT '[1]'::vector AS value;

-- Queries about the database, its extensions and the session.
-- py: file

-- name: Ping :one
-- Return 1.
SELECT 1 AS answer;

-- name: GetServerProcess :one
-- Return the id of the server process that runs this statement.
-- py: one!
SELECT pg_backend_pid()::integer AS "process_id!";

-- name: SendNotification :exec
-- Send a notification to the sessions that listen to a channel.
SELECT pg_notify(@channel::text, @payload::text);

-- name: FindVectorSchema :one
-- Return the schema of pgvector's types, and whether it is on the search path.
--
-- No row if the extension is not installed.
-- py: row VectorSchema
-- py: doc VectorSchema The schema of the extension pgvector.
-- py: doc VectorSchema.is_on_search_path Whether statements find the types without the name of the
-- py: doc VectorSchema.is_on_search_path schema.
SELECT
    n.nspname AS schema_name,
    (to_regtype('vector') IS NOT NULL)::boolean AS "is_on_search_path!"
FROM pg_catalog.pg_extension AS e
JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
WHERE e.extname = 'vector';

-- name: ReadAccessScope :one
-- Return the rows and the optional tables that the current transaction can read.
--
-- The rows are those of one user if `user_id` is not empty, and none if `is_denied`. Optional
-- tables do not exist in every database.
-- py: one!
-- py: row AccessScope
-- py: doc AccessScope The rows, the optional tables and the isolation level of a transaction.
-- py: doc AccessScope.user_id The user with the visible rows; empty if the rows of all users are
-- py: doc AccessScope.user_id visible.
-- py: doc AccessScope.is_denied Whether the policies hide every row, because no user is set.
-- py: doc AccessScope.has_states Whether the tables of the states of sessions and users exist.
-- py: doc AccessScope.has_vector_track Whether the table `memory` is that of the track vector.
-- py: doc AccessScope.isolation The name of the level as PostgreSQL writes it, such as read
-- py: doc AccessScope.isolation committed.
SELECT
    coalesce(current_setting('agentrows.user_id', true), '')::text AS "user_id!",
    (
        coalesce(current_setting('agentrows.user_id', true), '') = ''
        AND coalesce(current_setting('agentrows.unscoped', true), '') = 'deny'
        AND coalesce(row_security_active(to_regclass('session')), false)
    )::boolean AS "is_denied!",
    (to_regclass('agentrows_feedback_key') IS NOT NULL)::boolean AS "has_feedback_keys!",
    (to_regclass('agentrows_feedback_target') IS NOT NULL)::boolean AS "has_feedback_targets!",
    (to_regclass('agentrows_session_state') IS NOT NULL)::boolean AS "has_states!",
    (to_regclass('agentrows_checkpoint_blob') IS NOT NULL)::boolean AS "has_checkpoint_values!",
    (to_regclass('agentrows_store_item') IS NOT NULL)::boolean AS "has_store_items!",
    (to_regclass('agentrows_store_vector') IS NOT NULL)::boolean AS "has_store_vectors!",
    (to_regclass('agentrows_memory') IS NOT NULL)::boolean AS "has_own_memories!",
    (to_regclass('agentrows_task_event') IS NOT NULL)::boolean AS "has_task_events!",
    (to_regclass('agentrows_transcript') IS NOT NULL)::boolean AS "has_transcripts!",
    (to_regclass('agentrows_history') IS NOT NULL)::boolean AS "has_histories!",
    (to_regclass('memory') IS NOT NULL)::boolean AS "has_memory!",
    (to_regclass('vector_schema_migrations') IS NOT NULL)::boolean AS "has_vector_track!",
    current_setting('transaction_isolation')::text AS "isolation!";

-- name: RestrictToUser :one
-- Restrict the current transaction to the rows of one user.
--
-- `unprotected_tables` names the tables on which no policy applies to this role: it is a superuser,
-- it has BYPASSRLS, or the policies are missing. `is_citus` reports the extension citus: its nodes
-- do not receive the id of the user.
SELECT
    set_config('agentrows.user_id', @user_id::text, true)::text AS "user_id!",
    EXISTS (
        SELECT 1 FROM pg_catalog.pg_extension AS e
        WHERE e.extname = 'citus'
    )::boolean AS "is_citus!",
    coalesce(string_agg(relname::text, ', ' ORDER BY relname), '')::text AS "unprotected_tables!"
FROM pg_catalog.pg_class
WHERE
    (
        oid IN (
            to_regclass('session'),
            to_regclass('event'),
            to_regclass('task'),
            to_regclass('push_notification'),
            to_regclass('feedback'),
            to_regclass('agentrows_checkpoint_blob'),
            to_regclass('agentrows_feedback_key'),
            to_regclass('agentrows_feedback_target'),
            to_regclass('agentrows_session_state'),
            to_regclass('agentrows_user_state'),
            to_regclass('agentrows_store_item'),
            to_regclass('agentrows_store_vector'),
            to_regclass('agentrows_memory'),
            to_regclass('agentrows_task_event'),
            to_regclass('agentrows_push_config'),
            to_regclass('agentrows_transcript'),
            to_regclass('agentrows_transcript_entry'),
            to_regclass('agentrows_history'),
            to_regclass('agentrows_history_entry'),
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
-- Return a JSON value, which is a list only if the connection has the codec for JSON.
SELECT '[1]'::jsonb AS value;

-- name: ProbeVector :one
-- Return a vector, which is a Vector only if the connection has pgvector's codec.
SELECT '[1]'::vector AS value;

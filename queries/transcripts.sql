-- Transcripts: entries of sessions and of their subagents, appended once and read in order.
--
-- A session of a user has an id that is unique in a project. Its transcript has the empty subpath;
-- those of its subagents have other ones.
-- py: file

-- name: AppendTranscript :one
-- Append entries to a user's transcript, which is created if it does not exist.
--
-- An entry with the id of a stored one is left out, so the statement can be repeated. Positions
-- follow the order of the commits, because the row of the transcript is locked first. The arrays
-- come from a table expression: otherwise the planner would inspect them and make a new plan for
-- every call.
-- py: one!
-- py: batch entries NewTranscriptEntry
-- py: doc NewTranscriptEntry An entry to append to a transcript.
-- py: doc NewTranscriptEntry.id Chosen by the application; unique in the transcript.
-- py: doc NewTranscriptEntry.data The entry in the form of the application, such as JSON text.
-- py: row AppendedTranscript
-- py: doc AppendedTranscript A transcript after entries were appended.
-- py: doc AppendedTranscript.id The number of the transcript.
-- py: doc AppendedTranscript.last_position The position of the last entry.
-- py: doc AppendedTranscript.summary The stored summary; None without one.
-- py: doc AppendedTranscript.summary_position The position of the last entry in the summary.
-- py: doc AppendedTranscript.stored The number of new entries; the others were stored before.
WITH given AS MATERIALIZED (
    SELECT @id::text[] AS id, @data::text[] AS data
),
active AS (
    INSERT INTO agentrows_transcript AS t (
        user_id, project_key, session_id, subpath, last_position, created_at, updated_at
    )
    SELECT
        @user_id::text,
        @project_key::text,
        @session_id::text,
        @subpath::text,
        cardinality(given.id),
        statement_timestamp(),
        clock_timestamp()
    FROM given
    ON CONFLICT (user_id, project_key, session_id, subpath) DO UPDATE SET
        last_position = t.last_position + excluded.last_position,
        updated_at = greatest(t.updated_at, clock_timestamp())
    RETURNING t.id, t.last_position, t.summary, t.summary_position
),
stored AS (
    INSERT INTO agentrows_transcript_entry (user_id, transcript_id, position, id, data)
    SELECT
        @user_id::text,
        active.id,
        active.last_position - cardinality(given.id) + each.number,
        each.id,
        each.data
    FROM
        active,
        given,
        ROWS FROM (unnest(given.id), unnest(given.data)) WITH ORDINALITY AS each (id, data, number)
    ON CONFLICT (user_id, transcript_id, id) DO NOTHING
    RETURNING 1
)
SELECT
    active.id AS "id!",
    active.last_position AS "last_position!",
    active.summary,
    active.summary_position AS "summary_position!",
    (SELECT count(*) FROM stored)::bigint AS "stored!"
FROM active;

-- name: ListTranscriptEntries :many
-- Return the entries of a user's transcript after a position, in order.
-- py: row TranscriptEntry
-- py: doc TranscriptEntry An entry of a transcript.
SELECT e.position, e.data
FROM agentrows_transcript AS t
INNER JOIN agentrows_transcript_entry AS e ON e.user_id = t.user_id AND e.transcript_id = t.id
WHERE
    t.user_id = @user_id::text
    AND t.project_key = @project_key::text
    AND t.session_id = @session_id::text
    AND t.subpath = @subpath::text
    AND e.position > @after::bigint
ORDER BY e.position
LIMIT sqlc.narg('limit');

-- name: ListTranscripts :many
-- Return the transcripts of a user's sessions in a project, the last active one first.
--
-- Transcripts of subagents are left out.
-- py: row Transcript
-- py: doc Transcript The transcript of a session, without its entries.
-- py: doc Transcript.id The number of the transcript.
-- py: doc Transcript.summary A summary in the form of the application; None without one.
-- py: doc Transcript.summary_position The position of the last entry in the summary; entries with
-- py: doc Transcript.summary_position later positions are not in it.
SELECT t.id, t.session_id, t.last_position, t.summary, t.summary_position, t.created_at, t.updated_at
FROM agentrows_transcript AS t
WHERE
    t.user_id = @user_id::text
    AND t.project_key = @project_key::text
    AND t.subpath = ''
ORDER BY t.updated_at DESC, t.session_id;

-- name: ListTranscriptSubpaths :many
-- Return the subpaths of a user's session, in the order of their texts.
SELECT t.subpath FROM agentrows_transcript AS t
WHERE
    t.user_id = @user_id::text
    AND t.project_key = @project_key::text
    AND t.session_id = @session_id::text
    AND t.subpath <> ''
ORDER BY t.subpath COLLATE "C";

-- name: UpdateTranscriptSummary :execrows
-- Replace the summary of a user's transcript if it is that of the expected position.
UPDATE agentrows_transcript AS t
SET summary = @summary::text, summary_position = @position::bigint
WHERE
    t.id = @id::bigint
    AND t.user_id = @user_id::text
    AND t.summary_position = @expected_position::bigint;

-- name: LockTranscripts :many
-- Wait for concurrent writers of a session's transcripts, lock these, and return their numbers.
--
-- All transcripts of the session without a subpath. The next statement then sees the entries that
-- these writers committed.
SELECT t.id FROM agentrows_transcript AS t
WHERE
    t.user_id = @user_id::text
    AND t.project_key = @project_key::text
    AND t.session_id = @session_id::text
    AND (sqlc.narg('subpath')::text IS NULL OR t.subpath = sqlc.narg('subpath'))
ORDER BY t.id
FOR UPDATE;

-- name: DeleteTranscripts :one
-- Delete transcripts of a user with their entries, and return the numbers of deleted rows.
--
-- Run it after the transcripts were locked, in the same transaction.
-- py: row DeletedTranscripts
-- py: doc DeletedTranscripts Numbers of rows that were deleted.
WITH gone AS (
    DELETE FROM agentrows_transcript AS t
    WHERE t.user_id = @user_id::text AND t.id = ANY(@id::bigint[])
    RETURNING 1
),
gone_entries AS (
    DELETE FROM agentrows_transcript_entry AS e
    WHERE e.user_id = @user_id::text AND e.transcript_id = ANY(@id::bigint[])
    RETURNING 1
)
SELECT
    (SELECT count(*) FROM gone)::bigint AS "transcripts!",
    (SELECT count(*) FROM gone_entries)::bigint AS "entries!";

-- name: ListTranscriptsByAge :many
-- Return the next transcripts in the order of keys, and whether their sessions are idle.
--
-- A session is idle if nothing was appended to any of its transcripts within the retention.
--
-- unscoped: retention applies to every user
-- py: row ListedTranscript
-- py: doc ListedTranscript A transcript, and whether it can be removed.
SELECT
    p.id,
    p.user_id,
    p.project_key,
    p.session_id,
    p.subpath,
    (
        (
            SELECT 1 FROM agentrows_transcript AS active
            WHERE
                active.user_id = p.user_id
                AND active.project_key = p.project_key
                AND active.session_id = p.session_id
                AND active.updated_at >= statement_timestamp() - @retention::interval
            LIMIT 1
        ) IS NULL
    ) AS "is_idle!"
FROM (
    SELECT t.id, t.user_id, t.project_key, t.session_id, t.subpath
    FROM agentrows_transcript AS t
    WHERE
        (t.user_id, t.project_key, t.session_id, t.subpath)
        > (@after_user_id::text, @after_project_key::text, @after_session_id::text, @after_subpath::text)
    ORDER BY t.user_id, t.project_key, t.session_id, t.subpath
    LIMIT @batch_size::bigint
) AS p
ORDER BY p.user_id, p.project_key, p.session_id, p.subpath;

-- name: CountEntriesOfTranscripts :one
-- Count the entries of these transcripts.
--
-- unscoped: retention applies to every user
SELECT count(*) AS entries
FROM agentrows_transcript AS t
INNER JOIN agentrows_transcript_entry AS e ON e.user_id = t.user_id AND e.transcript_id = t.id
WHERE t.id = ANY(@id::bigint[]);

-- name: LockIdleTranscripts :many
-- Lock these transcripts and return their numbers.
--
-- Rows that another transaction has locked are skipped.
--
-- unscoped: retention applies to every user
SELECT t.id FROM agentrows_transcript AS t
WHERE t.id = ANY(@id::bigint[])
ORDER BY t.id
FOR UPDATE SKIP LOCKED;

-- name: PruneTranscripts :one
-- Delete those of these transcripts that can still be removed, with their entries.
--
-- Run it after LockIdleTranscripts in the same transaction.
--
-- unscoped: retention applies to every user
-- py: row DeletedTranscripts
WITH idle AS (
    SELECT t.id, t.user_id FROM agentrows_transcript AS t
    WHERE
        t.id = ANY(@id::bigint[])
        AND (
            SELECT 1 FROM agentrows_transcript AS active
            WHERE
                active.user_id = t.user_id
                AND active.project_key = t.project_key
                AND active.session_id = t.session_id
                AND active.updated_at >= statement_timestamp() - @retention::interval
            LIMIT 1
        ) IS NULL
),
gone AS (
    DELETE FROM agentrows_transcript AS t USING idle
    WHERE t.id = idle.id
    RETURNING 1
),
gone_entries AS (
    DELETE FROM agentrows_transcript_entry AS e USING idle
    WHERE e.user_id = idle.user_id AND e.transcript_id = idle.id
    RETURNING 1
)
SELECT
    (SELECT count(*) FROM gone)::bigint AS "transcripts!",
    (SELECT count(*) FROM gone_entries)::bigint AS "entries!";

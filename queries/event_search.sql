-- Search of events by words. No index of words exists: each statement reads a batch of events.
-- py: file

-- name: FindLastOfSessionBatch :one
-- Return the time and the id of the last event in a batch of the events of a user's session.
--
-- The newest event is first. `has_config` is whether the text search configuration exists. No id if
-- the batch has all remaining events.
-- py: one!
-- py: row LastOfBatch
-- py: doc LastOfBatch The last event of a batch, and whether the search can run.
SELECT
    EXISTS (
        SELECT 1 FROM pg_catalog.pg_ts_config AS c
        WHERE c.cfgname = @config::text AND pg_ts_config_is_visible(c.oid)
    )::boolean AS "has_config!",
    last.created_at AS "created_at?",
    last.id AS "id?"
FROM (SELECT 1) AS one
LEFT JOIN LATERAL (
    SELECT created_at, id FROM event
    WHERE
        user_id = @user_id
        AND session_id = @session_id::text
        AND deleted_at IS NULL
        AND coalesce(created_at, '-infinity'::timestamptz)
        >= coalesce(sqlc.narg('since')::timestamptz, '-infinity'::timestamptz)
        AND (
            sqlc.narg('until')::timestamptz IS NULL
            OR coalesce(created_at, '-infinity'::timestamptz) < sqlc.narg('until')
        )
        AND (coalesce(created_at, '-infinity'::timestamptz), id)
        < (coalesce(sqlc.narg('after_time')::timestamptz, '-infinity'::timestamptz), @after_id::text)
    ORDER BY coalesce(created_at, '-infinity'::timestamptz) DESC, id DESC
    OFFSET sqlc.arg('batch_size')::bigint - 1
    LIMIT 1
) AS last ON true;

-- name: SearchSessionEvents :many
-- Return the events of a user's session that contain words, newest first.
--
-- Those after the given position, up to that of the last event of a batch. The text of an event is
-- that of all strings and numbers in its JSON. It is the whole data if that is not JSON, has more
-- than 10 MB, or is nested 5,000 levels deep.
SELECT * FROM event
WHERE
    user_id = @user_id
    AND session_id = @session_id::text
    AND deleted_at IS NULL
    AND coalesce(created_at, '-infinity'::timestamptz)
    >= coalesce(sqlc.narg('since')::timestamptz, '-infinity'::timestamptz)
    AND (
        sqlc.narg('until')::timestamptz IS NULL
        OR coalesce(created_at, '-infinity'::timestamptz) < sqlc.narg('until')
    )
    AND (coalesce(created_at, '-infinity'::timestamptz), id)
    < (coalesce(sqlc.narg('after_time')::timestamptz, '-infinity'::timestamptz), @after_id::text)
    AND (coalesce(created_at, '-infinity'::timestamptz), id)
    >= (coalesce(sqlc.narg('last_time')::timestamptz, '-infinity'::timestamptz), @last_id::text)
    AND (
        SELECT
            to_tsvector(
                @config::regconfig,
                left(
                    words.text,
                    CASE WHEN octet_length(left(words.text, 200000)) <= 300000 THEN 200000 ELSE 50000 END
                )
            )
        FROM (
            SELECT
                CASE
                    WHEN
                        octet_length(event.data) <= 10000000
                        AND (
                            length(event.data) - length(translate(event.data, '[{', '')) < 5000
                            OR (
                                SELECT coalesce(max(nested.depth), 0)
                                FROM (
                                    SELECT
                                        sum(CASE WHEN bracket.sign IN ('[', '{') THEN 1 ELSE -1 END)
                                            OVER (ORDER BY bracket.place) AS depth
                                    FROM unnest(
                                        string_to_array(
                                            regexp_replace(
                                                event.data, '"(?:[^"\\]|\\.)*\\?(?:"|$)|[^][{}"]+', '', 'g'
                                            ),
                                            NULL
                                        )
                                    ) WITH ORDINALITY AS bracket (sign, place)
                                ) AS nested
                            ) < 5000
                        )
                        AND pg_input_is_valid(event.data, 'jsonb')
                        THEN (
                            SELECT coalesce(string_agg(leaf.value #>> '{}', E'\n'), '')
                            FROM jsonb_path_query(event.data::jsonb, 'strict $.**') AS leaf (value)
                            WHERE jsonb_typeof(leaf.value) IN ('string', 'number')
                        )
                    ELSE event.data
                END AS text
            OFFSET 0
        ) AS words
    ) @@ websearch_to_tsquery(@config, @text::text)
ORDER BY coalesce(created_at, '-infinity'::timestamptz) DESC, id DESC
LIMIT sqlc.narg('limit');

-- name: FindLastOfUserBatch :one
-- Return the time and the id of the last event in a batch of the events of a user within a time range.
--
-- The newest event is first. `has_config` is whether the text search configuration exists. No id if
-- the batch has all remaining events.
-- py: one!
-- py: row LastOfBatch
SELECT
    EXISTS (
        SELECT 1 FROM pg_catalog.pg_ts_config AS c
        WHERE c.cfgname = @config::text AND pg_ts_config_is_visible(c.oid)
    )::boolean AS "has_config!",
    last.created_at AS "created_at?",
    last.id AS "id?"
FROM (SELECT 1) AS one
LEFT JOIN LATERAL (
    SELECT created_at, id FROM event
    WHERE
        user_id = @user_id
        AND deleted_at IS NULL
        AND coalesce(created_at, '-infinity'::timestamptz)
        >= coalesce(sqlc.narg('since')::timestamptz, '-infinity'::timestamptz)
        AND (
            sqlc.narg('until')::timestamptz IS NULL
            OR coalesce(created_at, '-infinity'::timestamptz) < sqlc.narg('until')
        )
        AND (coalesce(created_at, '-infinity'::timestamptz), id)
        < (coalesce(sqlc.narg('after_time')::timestamptz, '-infinity'::timestamptz), @after_id::text)
    ORDER BY coalesce(created_at, '-infinity'::timestamptz) DESC, id DESC
    OFFSET sqlc.arg('batch_size')::bigint - 1
    LIMIT 1
) AS last ON true;

-- name: SearchUserEvents :many
-- Return the events of a user within a time range that contain words, newest first.
--
-- Those after the given position, up to that of the last event of a batch. The text of an event is
-- that of all strings and numbers in its JSON. It is the whole data if that is not JSON, has more
-- than 10 MB, or is nested 5,000 levels deep.
SELECT * FROM event
WHERE
    user_id = @user_id
    AND deleted_at IS NULL
    AND coalesce(created_at, '-infinity'::timestamptz)
    >= coalesce(sqlc.narg('since')::timestamptz, '-infinity'::timestamptz)
    AND (
        sqlc.narg('until')::timestamptz IS NULL
        OR coalesce(created_at, '-infinity'::timestamptz) < sqlc.narg('until')
    )
    AND (coalesce(created_at, '-infinity'::timestamptz), id)
    < (coalesce(sqlc.narg('after_time')::timestamptz, '-infinity'::timestamptz), @after_id::text)
    AND (coalesce(created_at, '-infinity'::timestamptz), id)
    >= (coalesce(sqlc.narg('last_time')::timestamptz, '-infinity'::timestamptz), @last_id::text)
    AND (
        SELECT
            to_tsvector(
                @config::regconfig,
                left(
                    words.text,
                    CASE WHEN octet_length(left(words.text, 200000)) <= 300000 THEN 200000 ELSE 50000 END
                )
            )
        FROM (
            SELECT
                CASE
                    WHEN
                        octet_length(event.data) <= 10000000
                        AND (
                            length(event.data) - length(translate(event.data, '[{', '')) < 5000
                            OR (
                                SELECT coalesce(max(nested.depth), 0)
                                FROM (
                                    SELECT
                                        sum(CASE WHEN bracket.sign IN ('[', '{') THEN 1 ELSE -1 END)
                                            OVER (ORDER BY bracket.place) AS depth
                                    FROM unnest(
                                        string_to_array(
                                            regexp_replace(
                                                event.data, '"(?:[^"\\]|\\.)*\\?(?:"|$)|[^][{}"]+', '', 'g'
                                            ),
                                            NULL
                                        )
                                    ) WITH ORDINALITY AS bracket (sign, place)
                                ) AS nested
                            ) < 5000
                        )
                        AND pg_input_is_valid(event.data, 'jsonb')
                        THEN (
                            SELECT coalesce(string_agg(leaf.value #>> '{}', E'\n'), '')
                            FROM jsonb_path_query(event.data::jsonb, 'strict $.**') AS leaf (value)
                            WHERE jsonb_typeof(leaf.value) IN ('string', 'number')
                        )
                    ELSE event.data
                END AS text
            OFFSET 0
        ) AS words
    ) @@ websearch_to_tsquery(@config, @text::text)
ORDER BY coalesce(created_at, '-infinity'::timestamptz) DESC, id DESC
LIMIT sqlc.narg('limit');

-- Memories: the facts that an agent has stored about a user, searched by the similarity of
-- embeddings. The name of an agent also matches with `_` in place of `-`, because other writers on
-- the table store it so.
-- py: file

-- name: UpsertMemory :one
-- Store a memory under its id; columns that are not set stay unchanged.
--
-- No row if the id belongs to another agent or user.
INSERT INTO memory (
    id, agent_name, user_id, content, embedding, metadata, created_at, expires_at, access_count
)
VALUES (
    @id::text,
    @agent_name::text,
    @user_id::text,
    @content::text,
    sqlc.narg('embedding')::vector,
    sqlc.narg('metadata')::text,
    statement_timestamp(),
    sqlc.narg('expires_at')::timestamptz,
    0
)
ON CONFLICT (id) DO UPDATE SET
    content = excluded.content,
    embedding = CASE
        WHEN @set_embedding::boolean THEN excluded.embedding ELSE memory.embedding
    END,
    metadata = CASE WHEN @set_metadata::boolean THEN excluded.metadata ELSE memory.metadata END,
    expires_at = CASE
        WHEN @set_expires_at::boolean THEN excluded.expires_at ELSE memory.expires_at
    END
WHERE
    memory.user_id = excluded.user_id
    AND memory.agent_name IN (excluded.agent_name, replace(excluded.agent_name, '-', '_'))
RETURNING *;

-- name: UpsertMemories :one
-- Store memories under their ids, with all columns, and return the number of stored rows.
--
-- Rows of other agents and users stay unchanged and are not counted. The query counts the rows
-- itself, because some engines report the number of received rows in the command tag.
-- py: batch memories NewMemory
-- py: param embedding vector?[]
-- py: param metadata text?[]
-- py: param expires_at timestamptz?[]
-- py: doc NewMemory A memory to store with `store_agent_memories`.
-- py: doc NewMemory.id Chosen by the application; a stored memory with this id is replaced.
-- py: doc NewMemory.agent_name The agent that stores the memory.
-- py: doc NewMemory.user_id The user that the memory is about.
-- py: doc NewMemory.content The text of the memory.
-- py: doc NewMemory.embedding An (n,) float32 vector of content, which need not be normalized; n is
-- py: doc NewMemory.embedding 768 on kagent's table. None without one.
-- py: doc NewMemory.metadata The text of a JSON object; None without one.
-- py: doc NewMemory.expires_at From this time on the memory is not returned; None if it does not
-- py: doc NewMemory.expires_at expire.
WITH stored AS (
    INSERT INTO memory (
        id, agent_name, user_id, content, embedding, metadata, created_at, expires_at, access_count
    )
    SELECT
        input.id,
        input.agent_name,
        input.user_id,
        input.content,
        input.embedding,
        input.metadata,
        statement_timestamp() + (input.ordinal - 1) * interval '1 microsecond',
        input.expires_at,
        0
    FROM (
        SELECT
            unnest(@id::text[]) AS id,
            unnest(@agent_name::text[]) AS agent_name,
            unnest(@user_id::text[]) AS user_id,
            unnest(@content::text[]) AS content,
            unnest(@embedding::vector[]) AS embedding,
            unnest(@metadata::text[]) AS metadata,
            unnest(@expires_at::timestamptz[]) AS expires_at,
            generate_series(1, cardinality(@id)) AS ordinal
    ) AS input
    ORDER BY input.id
    ON CONFLICT (id) DO UPDATE SET
        content = excluded.content,
        embedding = excluded.embedding,
        metadata = excluded.metadata,
        expires_at = excluded.expires_at
    WHERE
        memory.user_id = excluded.user_id
        AND memory.agent_name IN (excluded.agent_name, replace(excluded.agent_name, '-', '_'))
    RETURNING 1
)
SELECT count(*) AS stored FROM stored;

-- name: SearchMemories :many
-- Return the memories of an agent and user that are nearest to an embedding.
--
-- Highest cosine similarity first, memories without an embedding last; exactly `limit` rows if the
-- owner has as many.
--
-- An owner with at most `exact_up_to` rows is scanned exactly; OFFSET 0 makes the server compute
-- each score once. For a larger owner the HNSW index is scanned until four times `limit` rows pass
-- the filter (pgvector 0.8 and later), and the nearest of them are returned, because rows far from
-- the embedding arrive out of order. If that scan ends with fewer than `limit` rows, the exact scan
-- runs as well. The settings last until the end of the transaction. The CASE hides the filter from
-- the planner, which would otherwise treat every owner as a small one in a generic plan and sort
-- all of its rows.
-- py: row MemoryHit
-- py: json metadata
-- py: doc MemoryHit A memory that a search returned, with its score.
-- py: doc MemoryHit.score The cosine similarity to the embedding of the search, in [-1, 1]; 0
-- py: doc MemoryHit.score without an embedding. In a search by words their rank, in [0, 1); by both,
-- py: doc MemoryHit.score the sum of 1 / (60 + place) over both results.
WITH owned AS NOT MATERIALIZED (
    SELECT id, embedding FROM memory
    WHERE
        user_id = @user_id::text
        AND agent_name IN (@agent_name::text, replace(@agent_name, '-', '_'))
        AND (expires_at IS NULL OR expires_at > statement_timestamp())
        AND (
            sqlc.narg('metadata')::jsonb IS NULL
            OR CASE
                WHEN
                    (
                    length(metadata) - length(translate(metadata, '[{', '')) < 5000
                    OR (
                        SELECT coalesce(max(nested.depth), 0)
                        FROM (
                            SELECT
                                sum(CASE WHEN bracket.sign IN ('[', '{') THEN 1 ELSE -1 END)
                                    OVER (ORDER BY bracket.place) AS depth
                            FROM unnest(
                                string_to_array(
                                    regexp_replace(
                                        metadata, '"(?:[^"\\]|\\.)*\\?(?:"|$)|[^][{}"]+', '', 'g'
                                    ),
                                    NULL
                                )
                            ) WITH ORDINALITY AS bracket (sign, place)
                        ) AS nested
                    ) < 5000
                )
                    AND pg_input_is_valid(metadata, 'jsonb')
                    THEN metadata::jsonb
            END @> sqlc.narg('metadata')
        )
),
size AS MATERIALIZED (
    SELECT count(*) > sqlc.arg('exact_up_to')::bigint AS is_large
    FROM (SELECT 1 FROM owned LIMIT sqlc.arg('exact_up_to')::bigint + 1) AS counted
),
near AS MATERIALIZED (
    SELECT id, score
    FROM (
        SELECT id, 1 - nullif(embedding <=> @embedding::vector, 'NaN'::float8) AS score FROM memory
        WHERE
            (SELECT is_large FROM size)
            AND sqlc.narg('limit')::bigint <= 500
            AND coalesce(sqlc.narg('min_score')::float8, 1) > 0
            AND current_setting('hnsw.iterative_scan', true) IS NOT NULL
            AND (SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true)) IS NOT NULL
            AND (SELECT set_config('hnsw.max_scan_tuples', '1000000', true)) IS NOT NULL
            AND (
                SELECT set_config(
                    'hnsw.ef_search', least(greatest(sqlc.narg('limit') * 2, 100), 1000)::text, true
                )
            ) IS NOT NULL
            AND CASE
                WHEN
                    user_id = @user_id::text
                    AND agent_name IN (@agent_name::text, replace(@agent_name, '-', '_'))
                    AND (expires_at IS NULL OR expires_at > statement_timestamp())
                    AND (
                        sqlc.narg('metadata')::jsonb IS NULL
                        OR CASE
                            WHEN
                                (
                                length(metadata) - length(translate(metadata, '[{', '')) < 5000
                                OR (
                                    SELECT coalesce(max(nested.depth), 0)
                                    FROM (
                                        SELECT
                                            sum(CASE WHEN bracket.sign IN ('[', '{') THEN 1 ELSE -1 END)
                                                OVER (ORDER BY bracket.place) AS depth
                                        FROM unnest(
                                            string_to_array(
                                                regexp_replace(
                                                    metadata, '"(?:[^"\\]|\\.)*\\?(?:"|$)|[^][{}"]+', '', 'g'
                                                ),
                                                NULL
                                            )
                                        ) WITH ORDINALITY AS bracket (sign, place)
                                    ) AS nested
                                ) < 5000
                            )
                                AND pg_input_is_valid(metadata, 'jsonb')
                                THEN metadata::jsonb
                        END @> sqlc.narg('metadata')
                    )
                    THEN true
                ELSE false
            END
        ORDER BY embedding <=> @embedding
        LIMIT 500
    ) AS nearest
    LIMIT least(sqlc.narg('limit'), 500) * 4
),
exact AS MATERIALIZED (
    SELECT id, score
    FROM (
        SELECT id, 1 - nullif(embedding <=> @embedding, 'NaN'::float8) AS score FROM owned
        WHERE coalesce((SELECT count(*) FROM near) < sqlc.narg('limit'), true)
        OFFSET 0
    ) AS ranked
    WHERE coalesce(score, 0) >= coalesce(sqlc.narg('min_score'), -2)
    ORDER BY score DESC NULLS LAST, id
    LIMIT sqlc.narg('limit')
),
hit AS MATERIALIZED (
    (
        SELECT id, score FROM near
        WHERE
            (SELECT count(*) FROM near) >= sqlc.narg('limit')
            AND coalesce(score, 0) >= coalesce(sqlc.narg('min_score'), -2)
        ORDER BY score DESC NULLS LAST, id
        LIMIT sqlc.narg('limit')
    )
    UNION ALL
    SELECT id, score FROM exact
)
SELECT
    m.id,
    m.agent_name,
    m.user_id,
    m.content,
    CASE WHEN @with_embedding::boolean THEN m.embedding END AS embedding,
    m.metadata,
    m.created_at,
    m.expires_at,
    m.access_count,
    greatest(-1, least(1, coalesce(hit.score, 0))) AS score
FROM hit
JOIN memory AS m ON m.id = hit.id
ORDER BY hit.score DESC NULLS LAST, m.id;

-- name: SearchAndTouchMemories :many
-- Return the rows of SearchMemories and increment the access count of each.
--
-- Rows are locked in the order of their ids, so that overlapping searches cannot deadlock.
-- py: row MemoryHit
WITH owned AS NOT MATERIALIZED (
    SELECT id, embedding FROM memory
    WHERE
        user_id = @user_id::text
        AND agent_name IN (@agent_name::text, replace(@agent_name, '-', '_'))
        AND (expires_at IS NULL OR expires_at > statement_timestamp())
        AND (
            sqlc.narg('metadata')::jsonb IS NULL
            OR CASE
                WHEN
                    (
                    length(metadata) - length(translate(metadata, '[{', '')) < 5000
                    OR (
                        SELECT coalesce(max(nested.depth), 0)
                        FROM (
                            SELECT
                                sum(CASE WHEN bracket.sign IN ('[', '{') THEN 1 ELSE -1 END)
                                    OVER (ORDER BY bracket.place) AS depth
                            FROM unnest(
                                string_to_array(
                                    regexp_replace(
                                        metadata, '"(?:[^"\\]|\\.)*\\?(?:"|$)|[^][{}"]+', '', 'g'
                                    ),
                                    NULL
                                )
                            ) WITH ORDINALITY AS bracket (sign, place)
                        ) AS nested
                    ) < 5000
                )
                    AND pg_input_is_valid(metadata, 'jsonb')
                    THEN metadata::jsonb
            END @> sqlc.narg('metadata')
        )
),
size AS MATERIALIZED (
    SELECT count(*) > sqlc.arg('exact_up_to')::bigint AS is_large
    FROM (SELECT 1 FROM owned LIMIT sqlc.arg('exact_up_to')::bigint + 1) AS counted
),
near AS MATERIALIZED (
    SELECT id, score
    FROM (
        SELECT id, 1 - nullif(embedding <=> @embedding::vector, 'NaN'::float8) AS score FROM memory
        WHERE
            (SELECT is_large FROM size)
            AND sqlc.narg('limit')::bigint <= 500
            AND coalesce(sqlc.narg('min_score')::float8, 1) > 0
            AND current_setting('hnsw.iterative_scan', true) IS NOT NULL
            AND (SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true)) IS NOT NULL
            AND (SELECT set_config('hnsw.max_scan_tuples', '1000000', true)) IS NOT NULL
            AND (
                SELECT set_config(
                    'hnsw.ef_search', least(greatest(sqlc.narg('limit') * 2, 100), 1000)::text, true
                )
            ) IS NOT NULL
            AND CASE
                WHEN
                    user_id = @user_id::text
                    AND agent_name IN (@agent_name::text, replace(@agent_name, '-', '_'))
                    AND (expires_at IS NULL OR expires_at > statement_timestamp())
                    AND (
                        sqlc.narg('metadata')::jsonb IS NULL
                        OR CASE
                            WHEN
                                (
                                length(metadata) - length(translate(metadata, '[{', '')) < 5000
                                OR (
                                    SELECT coalesce(max(nested.depth), 0)
                                    FROM (
                                        SELECT
                                            sum(CASE WHEN bracket.sign IN ('[', '{') THEN 1 ELSE -1 END)
                                                OVER (ORDER BY bracket.place) AS depth
                                        FROM unnest(
                                            string_to_array(
                                                regexp_replace(
                                                    metadata, '"(?:[^"\\]|\\.)*\\?(?:"|$)|[^][{}"]+', '', 'g'
                                                ),
                                                NULL
                                            )
                                        ) WITH ORDINALITY AS bracket (sign, place)
                                    ) AS nested
                                ) < 5000
                            )
                                AND pg_input_is_valid(metadata, 'jsonb')
                                THEN metadata::jsonb
                        END @> sqlc.narg('metadata')
                    )
                    THEN true
                ELSE false
            END
        ORDER BY embedding <=> @embedding
        LIMIT 500
    ) AS nearest
    LIMIT least(sqlc.narg('limit'), 500) * 4
),
exact AS MATERIALIZED (
    SELECT id, score
    FROM (
        SELECT id, 1 - nullif(embedding <=> @embedding, 'NaN'::float8) AS score FROM owned
        WHERE coalesce((SELECT count(*) FROM near) < sqlc.narg('limit'), true)
        OFFSET 0
    ) AS ranked
    WHERE coalesce(score, 0) >= coalesce(sqlc.narg('min_score'), -2)
    ORDER BY score DESC NULLS LAST, id
    LIMIT sqlc.narg('limit')
),
hit AS MATERIALIZED (
    (
        SELECT id, score FROM near
        WHERE
            (SELECT count(*) FROM near) >= sqlc.narg('limit')
            AND coalesce(score, 0) >= coalesce(sqlc.narg('min_score'), -2)
        ORDER BY score DESC NULLS LAST, id
        LIMIT sqlc.narg('limit')
    )
    UNION ALL
    SELECT id, score FROM exact
),
locked AS MATERIALIZED (
    SELECT id FROM memory
    WHERE id IN (SELECT id FROM hit)
    ORDER BY id
    FOR NO KEY UPDATE
),
touched AS (
    UPDATE memory
    SET access_count = coalesce(memory.access_count, 0) + 1
    FROM locked
    WHERE memory.id = locked.id
    RETURNING memory.id, memory.access_count
)
SELECT
    m.id,
    m.agent_name,
    m.user_id,
    m.content,
    CASE WHEN @with_embedding::boolean THEN m.embedding END AS embedding,
    m.metadata,
    m.created_at,
    m.expires_at,
    touched.access_count,
    greatest(-1, least(1, coalesce(hit.score, 0))) AS score
FROM hit
JOIN touched ON touched.id = hit.id
JOIN memory AS m ON m.id = hit.id
ORDER BY hit.score DESC NULLS LAST, m.id;

-- name: ListMemories :many
-- Return the unexpired memories of an agent and user, newest first.
--
-- A page starts after the given position. The name of the agent is also compared in a normalized
-- form, because an index scan over two names would not return rows in order.
-- py: row Memory
-- py: json metadata
SELECT
    id,
    agent_name,
    user_id,
    content,
    CASE WHEN @with_embedding::boolean THEN embedding END AS embedding,
    metadata,
    created_at,
    expires_at,
    access_count
FROM memory
WHERE
    user_id = @user_id
    AND replace(agent_name, '-', '_') = replace(@agent_name::text, '-', '_')
    AND agent_name IN (@agent_name, replace(@agent_name, '-', '_'))
    AND (expires_at IS NULL OR expires_at > statement_timestamp())
    AND (coalesce(created_at, '-infinity'::timestamptz), id)
    < (coalesce(sqlc.narg('after_time')::timestamptz, '-infinity'::timestamptz), @after_id)
ORDER BY coalesce(created_at, '-infinity'::timestamptz) DESC, id DESC
LIMIT sqlc.narg('limit');

-- name: GetMemory :one
-- Return an unexpired memory of an agent and user.
SELECT * FROM memory
WHERE
    id = @id::text
    AND user_id = @user_id
    AND agent_name IN (@agent_name, replace(@agent_name, '-', '_'))
    AND (expires_at IS NULL OR expires_at > statement_timestamp());

-- name: CountMemories :one
-- Count the unexpired memories of an agent and user.
SELECT count(*) AS memories FROM memory
WHERE
    user_id = @user_id
    AND agent_name IN (@agent_name, replace(@agent_name, '-', '_'))
    AND (expires_at IS NULL OR expires_at > statement_timestamp())
    AND (
        sqlc.narg('metadata')::jsonb IS NULL
        OR CASE
            WHEN
                (
                length(metadata) - length(translate(metadata, '[{', '')) < 5000
                OR (
                    SELECT coalesce(max(nested.depth), 0)
                    FROM (
                        SELECT
                            sum(CASE WHEN bracket.sign IN ('[', '{') THEN 1 ELSE -1 END)
                                OVER (ORDER BY bracket.place) AS depth
                        FROM unnest(
                            string_to_array(
                                regexp_replace(
                                    metadata, '"(?:[^"\\]|\\.)*\\?(?:"|$)|[^][{}"]+', '', 'g'
                                ),
                                NULL
                            )
                        ) WITH ORDINALITY AS bracket (sign, place)
                    ) AS nested
                ) < 5000
            )
                AND pg_input_is_valid(metadata, 'jsonb')
                THEN metadata::jsonb
        END @> sqlc.narg('metadata')
    );

-- name: DeleteMemory :execrows
-- Delete one memory of an agent and user.
DELETE FROM memory
WHERE
    id = @id::text
    AND user_id = @user_id
    AND agent_name IN (@agent_name, replace(@agent_name, '-', '_'));

-- name: DeleteMemories :execrows
-- Delete all memories of an agent and user, expired ones included.
DELETE FROM memory
WHERE
    user_id = @user_id
    AND agent_name IN (@agent_name, replace(@agent_name, '-', '_'));

-- name: PruneMemories :one
-- Delete expired memories, at most a batch, and extend those that were read at least 10 times by 15
-- days.
--
-- The access count of an extended memory restarts at 0. Rows that another transaction has locked
-- are skipped.
--
-- unscoped: retention applies to every user
-- py: row PrunedMemories
-- py: doc PrunedMemories The numbers of memories that a prune deleted and extended.
-- py: doc PrunedMemories.deleted Expired memories that were deleted.
-- py: doc PrunedMemories.extended Expired memories that were read at least 10 times and expire 15
-- py: doc PrunedMemories.extended days later.
WITH expired AS MATERIALIZED (
    SELECT id, coalesce(access_count, 0) >= 10 AS is_popular FROM memory
    WHERE expires_at <= statement_timestamp()
    ORDER BY expires_at
    LIMIT @batch_size::bigint
    FOR UPDATE SKIP LOCKED
),
extended AS (
    UPDATE memory
    SET expires_at = statement_timestamp() + interval '15 days', access_count = 0
    FROM expired
    WHERE memory.id = expired.id AND expired.is_popular
    RETURNING 1
),
deleted AS (
    DELETE FROM memory
    USING expired
    WHERE memory.id = expired.id AND NOT expired.is_popular
    RETURNING 1
)
SELECT
    (SELECT count(*) FROM deleted) AS deleted,
    (SELECT count(*) FROM extended) AS extended;

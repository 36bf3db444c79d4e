-- Memories with embeddings of any model, in the table agentrows_memory. Every statement is limited to
-- one model, except those of retention.
-- py: file

-- name: UpsertOwnMemory :one
-- Store a memory of a model under its id; columns that are not set stay unchanged.
--
-- No row if the id belongs to another agent or user.
-- py: row Memory
INSERT INTO agentrows_memory (
    id, model, agent_name, user_id, content, embedding, metadata, words, created_at, updated_at,
    expires_at
)
VALUES (
    @id::text,
    @model::text,
    @agent_name::text,
    @user_id::text,
    @content::text,
    sqlc.narg('embedding')::vector,
    sqlc.narg('metadata')::text,
    to_tsvector(
        @config::regconfig,
        left(
            @content, CASE WHEN octet_length(left(@content, 200000)) <= 300000 THEN 200000 ELSE 50000 END
        )
    ),
    statement_timestamp(),
    statement_timestamp(),
    sqlc.narg('expires_at')::timestamptz
)
ON CONFLICT (id, model) DO UPDATE SET
    content = excluded.content,
    embedding = CASE
        WHEN @set_embedding::boolean THEN excluded.embedding ELSE agentrows_memory.embedding
    END,
    metadata = CASE
        WHEN @set_metadata::boolean THEN excluded.metadata ELSE agentrows_memory.metadata
    END,
    words = excluded.words,
    updated_at = excluded.updated_at,
    expires_at = CASE
        WHEN @set_expires_at::boolean THEN excluded.expires_at ELSE agentrows_memory.expires_at
    END
WHERE
    agentrows_memory.user_id = excluded.user_id
    AND agentrows_memory.agent_name = excluded.agent_name
RETURNING
    id,
    agent_name AS "agent_name?",
    user_id AS "user_id?",
    content AS "content?",
    embedding,
    metadata,
    created_at AS "created_at?",
    expires_at,
    access_count AS "access_count?";

-- name: UpsertOwnMemories :one
-- Store memories of a model under their ids, with all columns, and return the number of stored rows.
--
-- Rows of other agents and users stay unchanged and are not counted.
-- py: param embedding vector?[]
-- py: param metadata text?[]
-- py: param expires_at timestamptz?[]
WITH stored AS (
    INSERT INTO agentrows_memory (
        id, model, agent_name, user_id, content, embedding, metadata, words, created_at, updated_at,
        expires_at
    )
    SELECT
        input.id,
        @model::text,
        input.agent_name,
        input.user_id,
        input.content,
        input.embedding,
        input.metadata,
        to_tsvector(
            @config::regconfig,
            left(
                input.content, CASE WHEN octet_length(left(input.content, 200000)) <= 300000 THEN 200000 ELSE 50000 END
            )
        ),
        statement_timestamp() + (input.ordinal - 1) * interval '1 microsecond',
        statement_timestamp(),
        input.expires_at
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
    ORDER BY input.id COLLATE "C"
    ON CONFLICT (id, model) DO UPDATE SET
        content = excluded.content,
        embedding = excluded.embedding,
        metadata = excluded.metadata,
        words = excluded.words,
        updated_at = excluded.updated_at,
        expires_at = excluded.expires_at
    WHERE
        agentrows_memory.user_id = excluded.user_id
        AND agentrows_memory.agent_name = excluded.agent_name
    RETURNING 1
)
SELECT count(*) AS stored FROM stored;

-- name: SearchOwnMemories :many
-- Return the memories of an agent and user that are nearest to an embedding, contain words, or both.
--
-- Every memory of the owner is compared with the embedding (OFFSET 0 makes the server compute each
-- score once). With an embedding and a text, the places in both results are combined by reciprocal
-- rank fusion: the score of a memory is the sum of 1 / (60 + place).
-- py: row MemoryHit
WITH owned AS NOT MATERIALIZED (
    SELECT id, embedding, words FROM agentrows_memory
    WHERE
        user_id = @user_id::text
        AND agent_name = @agent_name::text
        AND model = @model::text
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
by_vector AS MATERIALIZED (
    SELECT id, score, row_number() OVER (ORDER BY score DESC NULLS LAST, id) AS place
    FROM (
        SELECT
            id,
            1 - nullif(
                CASE
                    WHEN vector_dims(embedding) = vector_dims(sqlc.narg('embedding')::vector)
                        THEN embedding <=> sqlc.narg('embedding')::vector
                END,
                'NaN'::float8
            ) AS score
        FROM owned
        WHERE
            sqlc.narg('embedding')::vector IS NOT NULL
            AND (sqlc.narg('text')::text IS NULL OR embedding IS NOT NULL)
        OFFSET 0
    ) AS ranked
    WHERE coalesce(score, 0) >= coalesce(sqlc.narg('min_score')::float8, -2)
    ORDER BY score DESC NULLS LAST, id
    LIMIT CASE
        WHEN sqlc.narg('text') IS NULL THEN sqlc.narg('limit')::bigint
        ELSE greatest(sqlc.narg('limit') * 4, 100)
    END
),
by_words AS MATERIALIZED (
    SELECT id, score, row_number() OVER (ORDER BY score DESC, id) AS place
    FROM (
        SELECT
            id,
            ts_rank_cd(
                words, websearch_to_tsquery(@config::regconfig, sqlc.narg('text')), 32
            )::float8 AS score
        FROM owned
        WHERE
            words @@ websearch_to_tsquery(@config::regconfig, sqlc.narg('text'))
        OFFSET 0
    ) AS ranked
    ORDER BY score DESC, id
    LIMIT CASE
        WHEN sqlc.narg('embedding') IS NULL THEN sqlc.narg('limit')
        ELSE greatest(sqlc.narg('limit') * 4, 100)
    END
),
hit AS MATERIALIZED (
    SELECT
        coalesce(v.id, w.id) AS id,
        CASE
            WHEN sqlc.narg('text') IS NULL THEN greatest(-1, least(1, coalesce(v.score, 0)))
            WHEN sqlc.narg('embedding') IS NULL THEN w.score
            ELSE coalesce(1.0::float8 / (60 + v.place), 0) + coalesce(1.0::float8 / (60 + w.place), 0)
        END AS score,
        coalesce(v.place, w.place) AS place
    FROM by_vector AS v
    FULL JOIN by_words AS w ON w.id = v.id
    ORDER BY 2 DESC, 3, 1
    LIMIT sqlc.narg('limit')
)
SELECT
    m.id,
    m.agent_name AS "agent_name?",
    m.user_id AS "user_id?",
    m.content AS "content?",
    CASE WHEN @with_embedding::boolean THEN m.embedding END AS embedding,
    m.metadata,
    m.created_at AS "created_at?",
    m.expires_at,
    m.access_count AS "access_count?",
    hit.score AS "score!"
FROM hit
JOIN agentrows_memory AS m ON hit.id = m.id AND m.model = @model AND m.user_id = @user_id
ORDER BY hit.score DESC, hit.place, m.id;

-- name: SearchAndTouchOwnMemories :many
-- Return the rows of SearchOwnMemories and increment the access count of each.
--
-- Rows are locked in the order of their ids, so that overlapping searches cannot deadlock.
-- py: row MemoryHit
WITH owned AS NOT MATERIALIZED (
    SELECT id, embedding, words FROM agentrows_memory
    WHERE
        user_id = @user_id::text
        AND agent_name = @agent_name::text
        AND model = @model::text
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
by_vector AS MATERIALIZED (
    SELECT id, score, row_number() OVER (ORDER BY score DESC NULLS LAST, id) AS place
    FROM (
        SELECT
            id,
            1 - nullif(
                CASE
                    WHEN vector_dims(embedding) = vector_dims(sqlc.narg('embedding')::vector)
                        THEN embedding <=> sqlc.narg('embedding')::vector
                END,
                'NaN'::float8
            ) AS score
        FROM owned
        WHERE
            sqlc.narg('embedding')::vector IS NOT NULL
            AND (sqlc.narg('text')::text IS NULL OR embedding IS NOT NULL)
        OFFSET 0
    ) AS ranked
    WHERE coalesce(score, 0) >= coalesce(sqlc.narg('min_score')::float8, -2)
    ORDER BY score DESC NULLS LAST, id
    LIMIT CASE
        WHEN sqlc.narg('text') IS NULL THEN sqlc.narg('limit')::bigint
        ELSE greatest(sqlc.narg('limit') * 4, 100)
    END
),
by_words AS MATERIALIZED (
    SELECT id, score, row_number() OVER (ORDER BY score DESC, id) AS place
    FROM (
        SELECT
            id,
            ts_rank_cd(
                words, websearch_to_tsquery(@config::regconfig, sqlc.narg('text')), 32
            )::float8 AS score
        FROM owned
        WHERE
            words @@ websearch_to_tsquery(@config::regconfig, sqlc.narg('text'))
        OFFSET 0
    ) AS ranked
    ORDER BY score DESC, id
    LIMIT CASE
        WHEN sqlc.narg('embedding') IS NULL THEN sqlc.narg('limit')
        ELSE greatest(sqlc.narg('limit') * 4, 100)
    END
),
hit AS MATERIALIZED (
    SELECT
        coalesce(v.id, w.id) AS id,
        CASE
            WHEN sqlc.narg('text') IS NULL THEN greatest(-1, least(1, coalesce(v.score, 0)))
            WHEN sqlc.narg('embedding') IS NULL THEN w.score
            ELSE coalesce(1.0::float8 / (60 + v.place), 0) + coalesce(1.0::float8 / (60 + w.place), 0)
        END AS score,
        coalesce(v.place, w.place) AS place
    FROM by_vector AS v
    FULL JOIN by_words AS w ON w.id = v.id
    ORDER BY 2 DESC, 3, 1
    LIMIT sqlc.narg('limit')
),
locked AS MATERIALIZED (
    SELECT id FROM agentrows_memory
    WHERE id = ANY (SELECT id FROM hit) AND model = @model AND user_id = @user_id
    ORDER BY id
    FOR NO KEY UPDATE
),
touched AS (
    UPDATE agentrows_memory AS counted
    SET access_count = counted.access_count + 1
    FROM locked
    WHERE counted.id = locked.id AND counted.model = @model AND counted.user_id = @user_id
    RETURNING counted.id, counted.access_count
)
SELECT
    m.id,
    m.agent_name AS "agent_name?",
    m.user_id AS "user_id?",
    m.content AS "content?",
    CASE WHEN @with_embedding::boolean THEN m.embedding END AS embedding,
    m.metadata,
    m.created_at AS "created_at?",
    m.expires_at,
    touched.access_count AS "access_count?",
    hit.score AS "score!"
FROM hit
JOIN touched ON touched.id = hit.id
JOIN agentrows_memory AS m ON hit.id = m.id AND m.model = @model AND m.user_id = @user_id
ORDER BY hit.score DESC, hit.place, m.id;

-- name: ListOwnMemories :many
-- Return the unexpired memories of an agent and user, newest first.
--
-- A page starts after the given position.
-- py: row Memory
SELECT
    id,
    agent_name AS "agent_name?",
    user_id AS "user_id?",
    content AS "content?",
    CASE WHEN @with_embedding::boolean THEN embedding END AS embedding,
    metadata,
    created_at AS "created_at?",
    expires_at,
    access_count AS "access_count?"
FROM agentrows_memory
WHERE
    user_id = @user_id
    AND agent_name = @agent_name::text
    AND model = @model::text
    AND (expires_at IS NULL OR expires_at > statement_timestamp())
    AND (created_at, id)
    < (coalesce(sqlc.narg('after_time')::timestamptz, '-infinity'::timestamptz), @after_id)
ORDER BY created_at DESC, id DESC
LIMIT sqlc.narg('limit');

-- name: GetOwnMemory :one
-- Return an unexpired memory of an agent, a user and a model.
-- py: row Memory
SELECT
    id,
    agent_name AS "agent_name?",
    user_id AS "user_id?",
    content AS "content?",
    embedding,
    metadata,
    created_at AS "created_at?",
    expires_at,
    access_count AS "access_count?"
FROM agentrows_memory
WHERE
    id = @id::text
    AND user_id = @user_id
    AND agent_name = @agent_name::text
    AND model = @model::text
    AND (expires_at IS NULL OR expires_at > statement_timestamp());

-- name: CountOwnMemories :one
-- Count the unexpired memories of an agent, a user and a model.
SELECT count(*) AS memories FROM agentrows_memory
WHERE
    user_id = @user_id
    AND agent_name = @agent_name::text
    AND model = @model::text
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

-- name: DeleteOwnMemory :execrows
-- Delete one memory of an agent, a user and a model.
DELETE FROM agentrows_memory
WHERE
    id = @id::text
    AND user_id = @user_id
    AND agent_name = @agent_name::text
    AND model = @model::text;

-- name: DeleteOwnMemories :execrows
-- Delete all memories of an agent, a user and a model, expired ones included.
DELETE FROM agentrows_memory
WHERE
    user_id = @user_id
    AND agent_name = @agent_name::text
    AND model = @model::text;

-- name: PruneOwnMemories :one
-- Delete expired memories of every model, at most a batch, and extend those that were read at least
-- 10 times by 15 days.
--
-- The access count of an extended memory restarts at 0. Rows that another transaction has locked
-- are skipped.
--
-- unscoped: retention applies to every user
-- py: row PrunedMemories
WITH expired AS MATERIALIZED (
    SELECT id, model, access_count >= 10 AS is_popular FROM agentrows_memory
    WHERE expires_at <= statement_timestamp()
    ORDER BY expires_at
    LIMIT @batch_size::bigint
    FOR UPDATE SKIP LOCKED
),
extended AS (
    UPDATE agentrows_memory AS m
    SET expires_at = statement_timestamp() + interval '15 days', access_count = 0
    FROM expired
    WHERE m.id = expired.id AND m.model = expired.model AND expired.is_popular
    RETURNING 1
),
deleted AS (
    DELETE FROM agentrows_memory AS m
    USING expired
    WHERE m.id = expired.id AND m.model = expired.model AND NOT expired.is_popular
    RETURNING 1
)
SELECT
    (SELECT count(*) FROM deleted) AS deleted,
    (SELECT count(*) FROM extended) AS extended;

-- name: ReadMemoryState :one
-- Return whether the text search configuration exists, and whether all memories are of other models.
--
-- unscoped: the settings apply to every user
-- py: one!
-- py: row MemoryState
-- py: doc MemoryState The state of the memories, compared with the settings.
-- py: doc MemoryState.has_config Whether the text search configuration exists.
-- py: doc MemoryState.has_only_others Whether there are memories, and none of the model.
SELECT
    EXISTS (
        SELECT 1 FROM pg_catalog.pg_ts_config AS c
        WHERE c.cfgname = @config::text AND pg_ts_config_is_visible(c.oid)
    )::boolean AS "has_config!",
    (
        NOT EXISTS (SELECT 1 FROM agentrows_memory WHERE model = @model::text)
        AND (EXISTS (SELECT 1 FROM agentrows_memory) OR EXISTS (SELECT 1 FROM memory))
    )::boolean AS "has_only_others!";

-- Copies of memories into another model of agentrows_memory, from kagent's table or from a model.
-- py: file

-- name: CountMemoriesToCopy :one
-- Count the memories in kagent's table that the model lacks, without those that have no owner.
--
-- unscoped: a copy is of every user
SELECT count(*) AS memories FROM memory AS source
WHERE
    source.user_id IS NOT NULL
    AND source.agent_name IS NOT NULL
    AND NOT EXISTS (
        SELECT 1 FROM agentrows_memory AS copied
        WHERE copied.id = source.id AND copied.model = @model::text
    );

-- name: ListMemoriesToCopy :many
-- Return the next memories in kagent's table that the model lacks, in the order of their ids.
--
-- `content` is None without `with_content`. The digest detects a content that changes meanwhile.
--
-- unscoped: a copy is of every user
-- py: row MemoryToCopy
-- py: doc MemoryToCopy A memory to copy, without its owner.
-- py: doc MemoryToCopy.digest The SHA-256 digest of the content.
SELECT
    source.id,
    CASE WHEN @with_content::boolean THEN coalesce(source.content, '') END AS "content?",
    encode(sha256(convert_to(coalesce(source.content, ''), 'UTF8')), 'hex') AS "digest!"
FROM memory AS source
WHERE
    source.user_id IS NOT NULL
    AND source.agent_name IS NOT NULL
    AND source.id > @after_id::text
    AND NOT EXISTS (
        SELECT 1 FROM agentrows_memory AS copied
        WHERE copied.id = source.id AND copied.model = @model::text
    )
ORDER BY source.id
LIMIT @batch_size::bigint;

-- name: CopyMemories :one
-- Copy memories from kagent's table into the model and return the number of new rows.
--
-- A memory whose content has changed since it was listed is left out, like one that the model has.
--
-- unscoped: a copy is of every user
-- py: param embedding vector?[]
WITH copied AS (
    INSERT INTO agentrows_memory (
        id, model, user_id, agent_name, content, embedding, metadata, words, access_count, created_at,
        updated_at, expires_at
    )
    SELECT
        source.id,
        @model::text,
        source.user_id,
        source.agent_name,
        coalesce(source.content, ''),
        CASE WHEN @set_embedding::boolean THEN given.embedding ELSE source.embedding END,
        source.metadata,
        to_tsvector(
            @config::regconfig,
            left(
                coalesce(source.content, ''),
                CASE WHEN octet_length(left(source.content, 200000)) <= 300000 THEN 200000 ELSE 50000 END
            )
        ),
        coalesce(source.access_count, 0),
        coalesce(source.created_at, statement_timestamp()),
        statement_timestamp(),
        source.expires_at
    FROM (
        SELECT
            unnest(@id::text[]) AS id,
            unnest(@digest::text[]) AS digest,
            unnest(@embedding::vector[]) AS embedding
    ) AS given
    JOIN memory AS source ON source.id = given.id
    WHERE
        source.user_id IS NOT NULL
        AND source.agent_name IS NOT NULL
        AND encode(sha256(convert_to(coalesce(source.content, ''), 'UTF8')), 'hex') = given.digest
    ORDER BY source.id COLLATE "C"
    ON CONFLICT (id, model) DO NOTHING
    RETURNING 1
)
SELECT count(*) AS copied FROM copied;

-- name: CountOwnMemoriesToCopy :one
-- Count the memories of a model that another model lacks.
--
-- unscoped: a copy is of every user
SELECT count(*) AS memories FROM agentrows_memory AS source
WHERE
    source.model = @from_model::text
    AND NOT EXISTS (
        SELECT 1 FROM agentrows_memory AS copied
        WHERE copied.id = source.id AND copied.model = @model::text
    );

-- name: ListOwnMemoriesToCopy :many
-- Return the next memories of a model that another model lacks, in the order of their ids.
--
-- `content` is None without `with_content`.
--
-- unscoped: a copy is of every user
-- py: row MemoryToCopy
SELECT
    source.id,
    CASE WHEN @with_content::boolean THEN source.content END AS "content?",
    encode(sha256(convert_to(source.content, 'UTF8')), 'hex') AS "digest!"
FROM agentrows_memory AS source
WHERE
    source.model = @from_model::text
    AND source.id > @after_id::text
    AND NOT EXISTS (
        SELECT 1 FROM agentrows_memory AS copied
        WHERE copied.id = source.id AND copied.model = @model::text
    )
ORDER BY source.id
LIMIT @batch_size::bigint;

-- name: CopyOwnMemories :one
-- Copy memories of a model into another model and return the number of new rows.
--
-- A memory whose content has changed since it was listed is left out, like one that the model has.
--
-- unscoped: a copy is of every user
-- py: param embedding vector?[]
WITH copied AS (
    INSERT INTO agentrows_memory (
        id, model, user_id, agent_name, content, embedding, metadata, words, access_count, created_at,
        updated_at, expires_at
    )
    SELECT
        source.id,
        @model::text,
        source.user_id,
        source.agent_name,
        source.content,
        CASE WHEN @set_embedding::boolean THEN given.embedding ELSE source.embedding END,
        source.metadata,
        to_tsvector(
            @config::regconfig,
            left(
                source.content,
                CASE WHEN octet_length(left(source.content, 200000)) <= 300000 THEN 200000 ELSE 50000 END
            )
        ),
        source.access_count,
        source.created_at,
        statement_timestamp(),
        source.expires_at
    FROM (
        SELECT
            unnest(@id::text[]) AS id,
            unnest(@digest::text[]) AS digest,
            unnest(@embedding::vector[]) AS embedding
    ) AS given
    JOIN agentrows_memory AS source ON source.id = given.id AND source.model = @from_model::text
    WHERE encode(sha256(convert_to(source.content, 'UTF8')), 'hex') = given.digest
    ORDER BY source.id
    ON CONFLICT (id, model) DO NOTHING
    RETURNING 1
)
SELECT count(*) AS copied FROM copied;

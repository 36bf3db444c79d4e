-- Vectors of items, for searches by similarity. The table is in the track agentrows_vector, which a
-- database may lack.
-- py: file

-- name: UpsertStoreItemsWithVectors :one
-- Store items under their keys, as UpsertStoreItems does, and replace their vectors.
--
-- `vector_item` is the position of the vector's item in the batch, from 1. The new vectors have the
-- revision of the new value. An item without a new vector has none afterwards.
-- py: param ttl_s float8?[]
WITH stored AS (
    INSERT INTO agentrows_store_item AS i (
        user_id, namespace, key, value, revision, ttl_s, expires_at, created_at, updated_at
    )
    SELECT
        @user_id::text,
        rtrim('.' || input.namespace, '.') || '.',
        input.key,
        input.value::json,
        gen_random_uuid(),
        input.ttl_s,
        statement_timestamp() + make_interval(secs => input.ttl_s),
        statement_timestamp(),
        statement_timestamp()
    FROM (
        SELECT
            unnest(@namespace::text[]) AS namespace,
            unnest(@key::text[]) AS key,
            unnest(@value::text[]) AS value,
            unnest(@ttl_s::float8[]) AS ttl_s
    ) AS input
    ORDER BY (rtrim('.' || input.namespace, '.') || '.') COLLATE "C", input.key COLLATE "C"
    ON CONFLICT (user_id, namespace, key) DO UPDATE SET
        value = excluded.value,
        revision = excluded.revision,
        ttl_s = excluded.ttl_s,
        expires_at = excluded.expires_at,
        updated_at = excluded.updated_at
    RETURNING i.namespace, i.key, i.revision
),
given AS MATERIALIZED (
    SELECT
        rtrim('.' || (@namespace::text[])[raw.item], '.') || '.' AS namespace,
        (@key::text[])[raw.item] AS key,
        raw.ordinal,
        raw.embedding
    FROM (
        SELECT
            unnest(@vector_item::bigint[]) AS item,
            unnest(@vector_ordinal::bigint[]) AS ordinal,
            unnest(@vector_embedding::vector[]) AS embedding
    ) AS raw
),
removed AS (
    DELETE FROM agentrows_store_vector AS v
    USING stored
    WHERE
        v.user_id = @user_id
        AND v.namespace = stored.namespace
        AND v.key = stored.key
        AND NOT EXISTS (
            SELECT 1 FROM given
            WHERE
                given.namespace = v.namespace
                AND given.key = v.key
                AND given.ordinal = v.ordinal
                AND v.space = @space::text
        )
    RETURNING 1
),
added AS (
    INSERT INTO agentrows_store_vector AS v (
        user_id, namespace, key, space, ordinal, revision, embedding
    )
    SELECT
        @user_id::text,
        stored.namespace,
        stored.key,
        @space,
        given.ordinal,
        stored.revision,
        given.embedding
    FROM stored
    JOIN given ON given.namespace = stored.namespace AND given.key = stored.key
    ON CONFLICT (user_id, namespace, key, space, ordinal) DO UPDATE SET
        revision = excluded.revision,
        embedding = excluded.embedding
    RETURNING 1
)
SELECT
    (SELECT count(*) FROM stored) AS stored,
    (SELECT count(*) FROM added) AS vectors,
    (SELECT count(*) FROM removed) AS removed;

-- name: SearchStoreVectors :many
-- Return the items under a namespace whose vectors are nearest to an embedding.
--
-- Highest score first. An item counts with its best vector. Vectors of an earlier value of the item,
-- and of another number of dimensions than the embedding, are ignored. The scan is exact.
-- py: row StoreHit
-- py: json value
-- py: doc StoreHit An item that a search returned, with its score.
-- py: doc StoreHit.namespace The labels of the namespace with dots between them; empty for the root.
-- py: doc StoreHit.value The text of the JSON object, as it was stored.
-- py: doc StoreHit.ttl_s Time to live in seconds; None for an item that does not expire.
-- py: doc StoreHit.expires_at From this time on the item may be deleted; None if it does not expire.
-- py: doc StoreHit.score The cosine similarity, the negative distance or the inner product; None for
-- py: doc StoreHit.score a vector of norm zero, which has no cosine.
WITH near AS MATERIALIZED (
    SELECT
        v.namespace,
        v.key,
        v.revision,
        max(
            nullif(
                CASE
                    WHEN vector_dims(v.embedding) <> vector_dims(@embedding::vector) THEN NULL
                    WHEN @metric = 'cosine' THEN 1 - (v.embedding <=> @embedding)
                    WHEN @metric = 'l2' THEN -(v.embedding <-> @embedding)
                    ELSE -(v.embedding <#> @embedding)
                END,
                'NaN'::float8
            )
        ) AS score
    FROM agentrows_store_vector AS v
    WHERE
        v.user_id = @user_id::text
        AND v.space = @space::text
        AND v.namespace >= rtrim('.' || @namespace, '.') || '.'
        AND v.namespace < rtrim('.' || @namespace, '.') || '/'
        AND vector_dims(v.embedding) = vector_dims(@embedding)
    GROUP BY v.namespace, v.key, v.revision
)
SELECT
    btrim(i.namespace, '.') AS "namespace!",
    i.key,
    i.value::text AS "value!",
    i.ttl_s,
    i.expires_at,
    i.created_at,
    i.updated_at,
    near.score AS "score?"
FROM near
JOIN agentrows_store_item AS i
    ON
        i.user_id = @user_id
        AND i.namespace = near.namespace
        AND i.key = near.key
        AND i.revision = near.revision
WHERE
    (@with_expired::boolean OR i.expires_at IS NULL OR i.expires_at > statement_timestamp())
    AND (
        @conditions::jsonb = '[]'::jsonb
        OR NOT EXISTS (
            SELECT 1
            FROM jsonb_array_elements(@conditions::jsonb) AS given (condition)
            CROSS JOIN LATERAL (
                SELECT
                    (
                        CASE
                            WHEN position('\u' IN i.value::text) = 0 THEN i.value::text
                            ELSE regexp_replace(
                                i.value::text,
                                '(?<!\\)((?:\\\\)*)\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2})',
                                '\1\\ufffd',
                                'g'
                            )
                        END
                    )::jsonb #> ARRAY(SELECT jsonb_array_elements_text(given.condition -> 'path')) AS stored,
                    given.condition -> 'operand' AS operand
            ) AS pair
            WHERE NOT coalesce(
                CASE given.condition ->> 'operator'
                    WHEN '$eq' THEN coalesce(pair.stored, 'null'::jsonb) = pair.operand
                    WHEN '$ne' THEN coalesce(pair.stored, 'null'::jsonb) <> pair.operand
                    WHEN '$object' THEN jsonb_typeof(pair.stored) = 'object'
                    ELSE
                        CASE
                            WHEN
                                jsonb_typeof(pair.stored) = 'number'
                                AND jsonb_typeof(pair.operand) = 'number'
                                THEN CASE given.condition ->> 'operator'
                                    WHEN '$gt' THEN pair.stored::numeric > pair.operand::numeric
                                    WHEN '$gte' THEN pair.stored::numeric >= pair.operand::numeric
                                    WHEN '$lt' THEN pair.stored::numeric < pair.operand::numeric
                                    WHEN '$lte' THEN pair.stored::numeric <= pair.operand::numeric
                                END
                            WHEN
                                jsonb_typeof(pair.stored) = 'string'
                                AND jsonb_typeof(pair.operand) = 'string'
                                THEN CASE given.condition ->> 'operator'
                                    WHEN '$gt' THEN (pair.stored #>> '{}') COLLATE "C" > (pair.operand #>> '{}')
                                    WHEN '$gte' THEN (pair.stored #>> '{}') COLLATE "C" >= (pair.operand #>> '{}')
                                    WHEN '$lt' THEN (pair.stored #>> '{}') COLLATE "C" < (pair.operand #>> '{}')
                                    WHEN '$lte' THEN (pair.stored #>> '{}') COLLATE "C" <= (pair.operand #>> '{}')
                                END
                        END
                END,
                false
            )
        )
    )
ORDER BY near.score DESC NULLS LAST, i.namespace, i.key
LIMIT sqlc.narg('limit') OFFSET @first_row::bigint;

-- name: DeleteStoreVectors :execrows
-- Delete the vectors of the items with these keys.
DELETE FROM agentrows_store_vector AS v
USING (
    SELECT rtrim('.' || raw.namespace, '.') || '.' AS namespace, raw.key
    FROM (
        SELECT unnest(@namespace::text[]) AS namespace, unnest(@key::text[]) AS key
    ) AS raw
) AS wanted
WHERE v.user_id = @user_id::text AND v.namespace = wanted.namespace AND v.key = wanted.key;

-- name: PruneStoreVectors :execrows
-- Delete the vectors of these items, each with its user.
DELETE FROM agentrows_store_vector AS v
USING (
    SELECT
        unnest(@user_id::text[]) AS user_id,
        unnest(@namespace::text[]) AS namespace,
        unnest(@key::text[]) AS key
) AS pruned
WHERE v.user_id = pruned.user_id AND v.namespace = pruned.namespace AND v.key = pruned.key;

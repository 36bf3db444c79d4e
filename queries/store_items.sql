-- Items: JSON documents of users by namespace and key, the long-term memory of agents.
--
-- The column of the namespace has a dot before, between and after the labels. A prefix of labels is
-- therefore one range of the primary key, which contains no namespace that merely begins with the
-- same characters. Parameters and results are without the outer dots.
-- py: file

-- name: UpsertStoreItems :one
-- Store items under their keys, and return the number of stored rows.
--
-- A stored item keeps its creation time; everything else is replaced. Rows are locked in the order
-- of the key. The vectors of an earlier value have another revision, so they are not returned.
-- py: batch items NewStoreItem
-- py: param ttl_s float8?[]
-- py: doc NewStoreItem An item to store with `store_items`.
-- py: doc NewStoreItem.namespace The labels of the namespace with dots between them, such as
-- py: doc NewStoreItem.namespace users.mira; empty for the root.
-- py: doc NewStoreItem.key Chosen by the application; a stored item with this key is replaced.
-- py: doc NewStoreItem.value The text of a JSON object. The order of its keys is kept.
-- py: doc NewStoreItem.ttl_s Time to live in seconds; None for an item that does not expire.
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
    RETURNING 1
)
SELECT count(*) AS stored FROM stored;

-- name: ListStoreItems :many
-- Return the items with these keys, in any order.
--
-- py: row StoreItem
-- py: json value
-- py: column namespace text
-- py: doc StoreItem A JSON document of a user.
-- py: doc StoreItem.namespace The labels of the namespace with dots between them; empty for the
-- py: doc StoreItem.namespace root.
-- py: doc StoreItem.key Unique in the namespace of the user.
-- py: doc StoreItem.value The text of the JSON object, as it was stored.
-- py: doc StoreItem.ttl_s Time to live in seconds, from the last write or refresh; None for an item
-- py: doc StoreItem.ttl_s that does not expire.
-- py: doc StoreItem.expires_at From this time on the item may be deleted; None if it does not
-- py: doc StoreItem.expires_at expire.
-- py: doc StoreItem.created_at When the item was first stored.
-- py: doc StoreItem.updated_at When the value was last stored.
SELECT
    btrim(i.namespace, '.') AS "namespace!",
    i.key,
    i.value::text AS "value!",
    i.ttl_s,
    i.expires_at,
    i.created_at,
    i.updated_at
FROM (
    SELECT rtrim('.' || raw.namespace, '.') || '.' AS namespace, raw.key
    FROM (
        SELECT unnest(@namespace::text[]) AS namespace, unnest(@key::text[]) AS key
    ) AS raw
) AS wanted
JOIN agentrows_store_item AS i
    ON i.user_id = @user_id::text AND i.namespace = wanted.namespace AND i.key = wanted.key
WHERE (@with_expired::boolean OR i.expires_at IS NULL OR i.expires_at > statement_timestamp());

-- name: FindStoreItem :one
-- Return the item with this key.
--
-- py: row StoreItem
-- py: lookup
SELECT
    btrim(i.namespace, '.') AS "namespace!",
    i.key,
    i.value::text AS "value!",
    i.ttl_s,
    i.expires_at,
    i.created_at,
    i.updated_at
FROM agentrows_store_item AS i
WHERE
    i.user_id = @user_id::text
    AND i.namespace = rtrim('.' || @namespace::text, '.') || '.'
    AND i.key = @key
    AND (@with_expired::boolean OR i.expires_at IS NULL OR i.expires_at > statement_timestamp());

-- name: SearchStoreItems :many
-- Return the items under a namespace that meet every condition, the last stored first.
--
-- A condition compares the value at a path of keys with an operand. jsonb cannot contain NUL and
-- lone surrogates, so the comparison reads each of them as U+FFFD.
-- py: row StoreItem
SELECT
    btrim(i.namespace, '.') AS "namespace!",
    i.key,
    i.value::text AS "value!",
    i.ttl_s,
    i.expires_at,
    i.created_at,
    i.updated_at
FROM agentrows_store_item AS i
WHERE
    i.user_id = @user_id::text
    AND i.namespace >= rtrim('.' || @namespace, '.') || '.'
    AND i.namespace < rtrim('.' || @namespace, '.') || '/'
    AND (@with_expired::boolean OR i.expires_at IS NULL OR i.expires_at > statement_timestamp())
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
ORDER BY i.updated_at DESC, i.namespace, i.key
LIMIT sqlc.narg('limit') OFFSET @first_row::bigint;

-- name: ListStoreNamespaces :many
-- Return the namespaces of a user's items, in the order of their labels.
--
-- Only those under `namespace`, and those that match all of the patterns, which are regular
-- expressions on the column. Namespaces deeper than `max_depth` are cut to that depth.
SELECT array_to_string(found.labels, '.') AS "namespace!"
FROM (
    SELECT DISTINCT
        (string_to_array(btrim(present.namespace, '.'), '.'))[
            :sqlc.arg('max_depth')::integer
        ] AS labels
    FROM (
        SELECT DISTINCT i.namespace
        FROM agentrows_store_item AS i
        WHERE
            i.user_id = @user_id::text
            AND i.namespace >= rtrim('.' || @namespace, '.') || '.'
            AND i.namespace < rtrim('.' || @namespace, '.') || '/'
            AND (
                @with_expired::boolean
                OR i.expires_at IS NULL
                OR i.expires_at > statement_timestamp()
            )
    ) AS present
    WHERE NOT EXISTS (
        SELECT 1 FROM unnest(@patterns::text[]) AS required (pattern)
        WHERE present.namespace !~ required.pattern
    )
) AS found
ORDER BY found.labels
LIMIT sqlc.narg('limit') OFFSET @first_row::bigint;

-- name: RefreshStoreItems :one
-- Restart the time to live of items, and return the number of items that have one.
--
-- Rows are locked in the order of the key.
WITH locked AS MATERIALIZED (
    SELECT i.namespace, i.key
    FROM (
        SELECT rtrim('.' || raw.namespace, '.') || '.' AS namespace, raw.key
    FROM (
        SELECT unnest(@namespace::text[]) AS namespace, unnest(@key::text[]) AS key
    ) AS raw
    ) AS wanted
    JOIN agentrows_store_item AS i
        ON i.user_id = @user_id::text AND i.namespace = wanted.namespace AND i.key = wanted.key
    WHERE i.ttl_s IS NOT NULL
    ORDER BY i.namespace, i.key
    FOR NO KEY UPDATE OF i
),
refreshed AS (
    UPDATE agentrows_store_item AS i
    SET expires_at = statement_timestamp() + make_interval(secs => i.ttl_s)
    FROM locked
    WHERE
        i.user_id = @user_id
        AND i.namespace = locked.namespace
        AND i.key = locked.key
        AND i.ttl_s IS NOT NULL
    RETURNING 1
)
SELECT count(*) AS refreshed FROM refreshed;

-- name: DeleteStoreItems :one
-- Delete the items with these keys; also return whether the database has the table of vectors.
--
-- The keys are locked in their order. Delete the vectors in the next statement of the transaction,
-- whose snapshot contains those that a concurrent writer stored before this one got the lock.
-- py: row DeletedStoreItems
-- py: doc DeletedStoreItems The number of deleted items.
-- py: doc DeletedStoreItems.deleted Items that existed.
-- py: doc DeletedStoreItems.has_vectors Whether the database has the table agentrows_store_vector.
WITH locked AS MATERIALIZED (
    SELECT i.namespace, i.key
    FROM (
        SELECT rtrim('.' || raw.namespace, '.') || '.' AS namespace, raw.key
    FROM (
        SELECT unnest(@namespace::text[]) AS namespace, unnest(@key::text[]) AS key
    ) AS raw
    ) AS wanted
    JOIN agentrows_store_item AS i
        ON i.user_id = @user_id::text AND i.namespace = wanted.namespace AND i.key = wanted.key
    ORDER BY i.namespace, i.key
    FOR UPDATE OF i
),
gone AS (
    DELETE FROM agentrows_store_item AS i
    USING locked
    WHERE i.user_id = @user_id AND i.namespace = locked.namespace AND i.key = locked.key
    RETURNING 1
)
SELECT
    (SELECT count(*) FROM gone) AS deleted,
    (to_regclass('agentrows_store_vector') IS NOT NULL)::boolean AS "has_vectors!";

-- name: PruneStoreItems :many
-- Delete up to `batch_size` expired items, and return their keys.
--
-- Rows that another transaction has locked are skipped.
--
-- unscoped: retention applies to every user
-- py: row PrunedStoreItem
-- py: doc PrunedStoreItem The key of an item that a prune deleted.
-- py: doc PrunedStoreItem.namespace The namespace in the form of the column.
-- py: doc PrunedStoreItem.has_vectors Whether the database has the table agentrows_store_vector.
WITH expired AS MATERIALIZED (
    SELECT user_id, namespace, key FROM agentrows_store_item
    WHERE expires_at <= statement_timestamp()
    ORDER BY expires_at
    LIMIT @batch_size::bigint
    FOR UPDATE SKIP LOCKED
)
DELETE FROM agentrows_store_item AS i
USING expired
WHERE
    i.user_id = expired.user_id
    AND i.namespace = expired.namespace
    AND i.key = expired.key
RETURNING
    i.user_id,
    i.namespace,
    i.key,
    (to_regclass('agentrows_store_vector') IS NOT NULL)::boolean AS "has_vectors!";

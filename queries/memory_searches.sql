-- Searches of agentrows_memory by an embedding with a number of dimensions that can have an index,
-- one query for each. The first query is written by hand; the others are written from it by
-- tests/policy/checks/memory_searches.py.
-- py: file

-- name: SearchOwnMemories384 :many
-- Return the rows of SearchOwnMemories for an embedding with 384 dimensions, by its index.
--
-- Owners with at most `exact_up_to` rows are scanned exactly; without a valid index all owners are.
-- The index contains the direction of each embedding, followed by 64 numbers that are the same for
-- all rows of an owner: the bits of a hash as 0.2 or -0.2. So the rows of an owner are nearer to
-- `place` than those of others, however near these are to the embedding, and the scan seldom reads a
-- row of another owner. It ends when four times `limit` rows pass the filter, of which the nearest
-- are returned, or at `scanned` rows. If it has fewer then, because it has not found the part of the
-- graph with the owner's rows, the exact scan runs as well. With a filter of metadata, which few
-- rows may pass, the scan goes on, and `limit` rows are enough. The settings last until the end of
-- the transaction. The CASE hides the filter from the planner, as in SearchMemories.
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
wanted AS MATERIALIZED (
    SELECT
        row_limit,
        CASE
            WHEN sqlc.narg('metadata') IS NULL THEN least(row_limit, 125) * 4
            ELSE row_limit
        END AS enough,
        CASE
            WHEN sqlc.narg('metadata') IS NULL THEN 10000 + least(row_limit, 500) * 100
            ELSE 1000000
        END AS scanned,
        CASE
            WHEN EXISTS (
                SELECT 1
                FROM pg_catalog.pg_index AS i
                JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
                WHERE
                    i.indrelid = to_regclass('agentrows_memory')
                    AND c.relname = 'agentrows_memory_nearest_384'
                    AND i.indisvalid
            )
                AND vector_norm(@embedding::vector) > 0
                THEN (
                    SELECT count(*) > sqlc.arg('exact_up_to')::bigint
                    FROM (SELECT 1 FROM owned LIMIT sqlc.arg('exact_up_to')::bigint + 1) AS counted
                )
            ELSE false
        END AS by_index,
        (
            l2_normalize(@embedding::vector)
            || (
                '[' || rtrim(
                    replace(
                        replace(
                            hashtextextended(@model || ' ' || @user_id || ' ' || @agent_name, 0)::bit(64)::text,
                            '0', '-.2,'
                        ),
                        '1', '.2,'
                    ), ','
                ) || ']'
            )::vector
        )::halfvec(448) AS place
    FROM (
        SELECT
            CASE
                WHEN sqlc.narg('text')::text IS NULL THEN sqlc.narg('limit')::bigint
                ELSE greatest(sqlc.narg('limit') * 4, 100)
            END AS row_limit
    ) AS asked
),
near AS MATERIALIZED (
    SELECT id, score
    FROM (
        SELECT
            id,
            1 - nullif(
                CASE
                    WHEN vector_dims(embedding) = vector_dims(@embedding::vector)
                        THEN embedding <=> @embedding::vector
                END,
                'NaN'::float8
            ) AS score
        FROM agentrows_memory
        WHERE
            (SELECT by_index AND row_limit <= 500 FROM wanted)
            AND coalesce(sqlc.narg('min_score')::float8, 1) > 0
            AND current_setting('hnsw.iterative_scan', true) IS NOT NULL
            AND (SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true)) IS NOT NULL
            AND (
                SELECT set_config('hnsw.max_scan_tuples', scanned::text, true) FROM wanted
            ) IS NOT NULL
            AND (
                SELECT set_config(
                    'hnsw.ef_search', least(greatest(row_limit * 2, 400), 1000)::text, true
                )
                FROM wanted
            ) IS NOT NULL
            AND CASE
                WHEN
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
                    THEN true
                ELSE false
            END
        ORDER BY
            (
                l2_normalize(
                    CASE WHEN vector_dims(embedding) = 384 AND vector_norm(embedding) > 0 THEN embedding END
                )
                || (
                    '[' || rtrim(
                        replace(
                            replace(
                                hashtextextended(model || ' ' || user_id || ' ' || agent_name, 0)::bit(64)::text,
                                '0', '-.2,'
                            ),
                            '1', '.2,'
                        ), ','
                    ) || ']'
                )::vector
            )::halfvec(448) <=> (SELECT place FROM wanted)
        LIMIT 500
    ) AS nearest
    LIMIT (SELECT least(row_limit, 500) * 4 FROM wanted)
),
exact AS NOT MATERIALIZED (
    SELECT id, score
    FROM (
        SELECT
            id,
            1 - nullif(
                CASE
                    WHEN vector_dims(embedding) = vector_dims(@embedding)
                        THEN embedding <=> @embedding
                END,
                'NaN'::float8
            ) AS score
        FROM owned
        WHERE
            coalesce((SELECT count(*) FROM near) < (SELECT enough FROM wanted), true)
            AND (sqlc.narg('text') IS NULL OR embedding IS NOT NULL)
        OFFSET 0
    ) AS ranked
    WHERE coalesce(score, 0) >= coalesce(sqlc.narg('min_score'), -2)
),
by_vector AS MATERIALIZED (
    SELECT id, score, row_number() OVER (ORDER BY score DESC NULLS LAST, id) AS place
    FROM (
        SELECT id, score FROM near
        WHERE
            (SELECT count(*) FROM near) >= (SELECT enough FROM wanted)
            AND coalesce(score, 0) >= coalesce(sqlc.narg('min_score'), -2)
        UNION ALL
        SELECT id, score FROM exact
    ) AS ranked
    ORDER BY score DESC NULLS LAST, id
    LIMIT (SELECT row_limit FROM wanted)
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
    LIMIT (SELECT row_limit FROM wanted)
),
hit AS MATERIALIZED (
    SELECT
        coalesce(v.id, w.id) AS id,
        CASE
            WHEN sqlc.narg('text') IS NULL THEN greatest(-1, least(1, coalesce(v.score, 0)))
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

-- name: SearchAndTouchOwnMemories384 :many
-- Return the rows of SearchOwnMemories384 and increment the access count of each.
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
wanted AS MATERIALIZED (
    SELECT
        row_limit,
        CASE
            WHEN sqlc.narg('metadata') IS NULL THEN least(row_limit, 125) * 4
            ELSE row_limit
        END AS enough,
        CASE
            WHEN sqlc.narg('metadata') IS NULL THEN 10000 + least(row_limit, 500) * 100
            ELSE 1000000
        END AS scanned,
        CASE
            WHEN EXISTS (
                SELECT 1
                FROM pg_catalog.pg_index AS i
                JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
                WHERE
                    i.indrelid = to_regclass('agentrows_memory')
                    AND c.relname = 'agentrows_memory_nearest_384'
                    AND i.indisvalid
            )
                AND vector_norm(@embedding::vector) > 0
                THEN (
                    SELECT count(*) > sqlc.arg('exact_up_to')::bigint
                    FROM (SELECT 1 FROM owned LIMIT sqlc.arg('exact_up_to')::bigint + 1) AS counted
                )
            ELSE false
        END AS by_index,
        (
            l2_normalize(@embedding::vector)
            || (
                '[' || rtrim(
                    replace(
                        replace(
                            hashtextextended(@model || ' ' || @user_id || ' ' || @agent_name, 0)::bit(64)::text,
                            '0', '-.2,'
                        ),
                        '1', '.2,'
                    ), ','
                ) || ']'
            )::vector
        )::halfvec(448) AS place
    FROM (
        SELECT
            CASE
                WHEN sqlc.narg('text')::text IS NULL THEN sqlc.narg('limit')::bigint
                ELSE greatest(sqlc.narg('limit') * 4, 100)
            END AS row_limit
    ) AS asked
),
near AS MATERIALIZED (
    SELECT id, score
    FROM (
        SELECT
            id,
            1 - nullif(
                CASE
                    WHEN vector_dims(embedding) = vector_dims(@embedding::vector)
                        THEN embedding <=> @embedding::vector
                END,
                'NaN'::float8
            ) AS score
        FROM agentrows_memory
        WHERE
            (SELECT by_index AND row_limit <= 500 FROM wanted)
            AND coalesce(sqlc.narg('min_score')::float8, 1) > 0
            AND current_setting('hnsw.iterative_scan', true) IS NOT NULL
            AND (SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true)) IS NOT NULL
            AND (
                SELECT set_config('hnsw.max_scan_tuples', scanned::text, true) FROM wanted
            ) IS NOT NULL
            AND (
                SELECT set_config(
                    'hnsw.ef_search', least(greatest(row_limit * 2, 400), 1000)::text, true
                )
                FROM wanted
            ) IS NOT NULL
            AND CASE
                WHEN
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
                    THEN true
                ELSE false
            END
        ORDER BY
            (
                l2_normalize(
                    CASE WHEN vector_dims(embedding) = 384 AND vector_norm(embedding) > 0 THEN embedding END
                )
                || (
                    '[' || rtrim(
                        replace(
                            replace(
                                hashtextextended(model || ' ' || user_id || ' ' || agent_name, 0)::bit(64)::text,
                                '0', '-.2,'
                            ),
                            '1', '.2,'
                        ), ','
                    ) || ']'
                )::vector
            )::halfvec(448) <=> (SELECT place FROM wanted)
        LIMIT 500
    ) AS nearest
    LIMIT (SELECT least(row_limit, 500) * 4 FROM wanted)
),
exact AS NOT MATERIALIZED (
    SELECT id, score
    FROM (
        SELECT
            id,
            1 - nullif(
                CASE
                    WHEN vector_dims(embedding) = vector_dims(@embedding)
                        THEN embedding <=> @embedding
                END,
                'NaN'::float8
            ) AS score
        FROM owned
        WHERE
            coalesce((SELECT count(*) FROM near) < (SELECT enough FROM wanted), true)
            AND (sqlc.narg('text') IS NULL OR embedding IS NOT NULL)
        OFFSET 0
    ) AS ranked
    WHERE coalesce(score, 0) >= coalesce(sqlc.narg('min_score'), -2)
),
by_vector AS MATERIALIZED (
    SELECT id, score, row_number() OVER (ORDER BY score DESC NULLS LAST, id) AS place
    FROM (
        SELECT id, score FROM near
        WHERE
            (SELECT count(*) FROM near) >= (SELECT enough FROM wanted)
            AND coalesce(score, 0) >= coalesce(sqlc.narg('min_score'), -2)
        UNION ALL
        SELECT id, score FROM exact
    ) AS ranked
    ORDER BY score DESC NULLS LAST, id
    LIMIT (SELECT row_limit FROM wanted)
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
    LIMIT (SELECT row_limit FROM wanted)
),
hit AS MATERIALIZED (
    SELECT
        coalesce(v.id, w.id) AS id,
        CASE
            WHEN sqlc.narg('text') IS NULL THEN greatest(-1, least(1, coalesce(v.score, 0)))
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

-- name: SearchOwnMemories768 :many
-- Return the rows of SearchOwnMemories for an embedding with 768 dimensions, by its index.
--
-- Owners with at most `exact_up_to` rows are scanned exactly; without a valid index all owners are.
-- The index contains the direction of each embedding, followed by 64 numbers that are the same for
-- all rows of an owner: the bits of a hash as 0.2 or -0.2. So the rows of an owner are nearer to
-- `place` than those of others, however near these are to the embedding, and the scan seldom reads a
-- row of another owner. It ends when four times `limit` rows pass the filter, of which the nearest
-- are returned, or at `scanned` rows. If it has fewer then, because it has not found the part of the
-- graph with the owner's rows, the exact scan runs as well. With a filter of metadata, which few
-- rows may pass, the scan goes on, and `limit` rows are enough. The settings last until the end of
-- the transaction. The CASE hides the filter from the planner, as in SearchMemories.
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
wanted AS MATERIALIZED (
    SELECT
        row_limit,
        CASE
            WHEN sqlc.narg('metadata') IS NULL THEN least(row_limit, 125) * 4
            ELSE row_limit
        END AS enough,
        CASE
            WHEN sqlc.narg('metadata') IS NULL THEN 10000 + least(row_limit, 500) * 100
            ELSE 1000000
        END AS scanned,
        CASE
            WHEN EXISTS (
                SELECT 1
                FROM pg_catalog.pg_index AS i
                JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
                WHERE
                    i.indrelid = to_regclass('agentrows_memory')
                    AND c.relname = 'agentrows_memory_nearest_768'
                    AND i.indisvalid
            )
                AND vector_norm(@embedding::vector) > 0
                THEN (
                    SELECT count(*) > sqlc.arg('exact_up_to')::bigint
                    FROM (SELECT 1 FROM owned LIMIT sqlc.arg('exact_up_to')::bigint + 1) AS counted
                )
            ELSE false
        END AS by_index,
        (
            l2_normalize(@embedding::vector)
            || (
                '[' || rtrim(
                    replace(
                        replace(
                            hashtextextended(@model || ' ' || @user_id || ' ' || @agent_name, 0)::bit(64)::text,
                            '0', '-.2,'
                        ),
                        '1', '.2,'
                    ), ','
                ) || ']'
            )::vector
        )::halfvec(832) AS place
    FROM (
        SELECT
            CASE
                WHEN sqlc.narg('text')::text IS NULL THEN sqlc.narg('limit')::bigint
                ELSE greatest(sqlc.narg('limit') * 4, 100)
            END AS row_limit
    ) AS asked
),
near AS MATERIALIZED (
    SELECT id, score
    FROM (
        SELECT
            id,
            1 - nullif(
                CASE
                    WHEN vector_dims(embedding) = vector_dims(@embedding::vector)
                        THEN embedding <=> @embedding::vector
                END,
                'NaN'::float8
            ) AS score
        FROM agentrows_memory
        WHERE
            (SELECT by_index AND row_limit <= 500 FROM wanted)
            AND coalesce(sqlc.narg('min_score')::float8, 1) > 0
            AND current_setting('hnsw.iterative_scan', true) IS NOT NULL
            AND (SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true)) IS NOT NULL
            AND (
                SELECT set_config('hnsw.max_scan_tuples', scanned::text, true) FROM wanted
            ) IS NOT NULL
            AND (
                SELECT set_config(
                    'hnsw.ef_search', least(greatest(row_limit * 2, 400), 1000)::text, true
                )
                FROM wanted
            ) IS NOT NULL
            AND CASE
                WHEN
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
                    THEN true
                ELSE false
            END
        ORDER BY
            (
                l2_normalize(
                    CASE WHEN vector_dims(embedding) = 768 AND vector_norm(embedding) > 0 THEN embedding END
                )
                || (
                    '[' || rtrim(
                        replace(
                            replace(
                                hashtextextended(model || ' ' || user_id || ' ' || agent_name, 0)::bit(64)::text,
                                '0', '-.2,'
                            ),
                            '1', '.2,'
                        ), ','
                    ) || ']'
                )::vector
            )::halfvec(832) <=> (SELECT place FROM wanted)
        LIMIT 500
    ) AS nearest
    LIMIT (SELECT least(row_limit, 500) * 4 FROM wanted)
),
exact AS NOT MATERIALIZED (
    SELECT id, score
    FROM (
        SELECT
            id,
            1 - nullif(
                CASE
                    WHEN vector_dims(embedding) = vector_dims(@embedding)
                        THEN embedding <=> @embedding
                END,
                'NaN'::float8
            ) AS score
        FROM owned
        WHERE
            coalesce((SELECT count(*) FROM near) < (SELECT enough FROM wanted), true)
            AND (sqlc.narg('text') IS NULL OR embedding IS NOT NULL)
        OFFSET 0
    ) AS ranked
    WHERE coalesce(score, 0) >= coalesce(sqlc.narg('min_score'), -2)
),
by_vector AS MATERIALIZED (
    SELECT id, score, row_number() OVER (ORDER BY score DESC NULLS LAST, id) AS place
    FROM (
        SELECT id, score FROM near
        WHERE
            (SELECT count(*) FROM near) >= (SELECT enough FROM wanted)
            AND coalesce(score, 0) >= coalesce(sqlc.narg('min_score'), -2)
        UNION ALL
        SELECT id, score FROM exact
    ) AS ranked
    ORDER BY score DESC NULLS LAST, id
    LIMIT (SELECT row_limit FROM wanted)
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
    LIMIT (SELECT row_limit FROM wanted)
),
hit AS MATERIALIZED (
    SELECT
        coalesce(v.id, w.id) AS id,
        CASE
            WHEN sqlc.narg('text') IS NULL THEN greatest(-1, least(1, coalesce(v.score, 0)))
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

-- name: SearchAndTouchOwnMemories768 :many
-- Return the rows of SearchOwnMemories768 and increment the access count of each.
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
wanted AS MATERIALIZED (
    SELECT
        row_limit,
        CASE
            WHEN sqlc.narg('metadata') IS NULL THEN least(row_limit, 125) * 4
            ELSE row_limit
        END AS enough,
        CASE
            WHEN sqlc.narg('metadata') IS NULL THEN 10000 + least(row_limit, 500) * 100
            ELSE 1000000
        END AS scanned,
        CASE
            WHEN EXISTS (
                SELECT 1
                FROM pg_catalog.pg_index AS i
                JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
                WHERE
                    i.indrelid = to_regclass('agentrows_memory')
                    AND c.relname = 'agentrows_memory_nearest_768'
                    AND i.indisvalid
            )
                AND vector_norm(@embedding::vector) > 0
                THEN (
                    SELECT count(*) > sqlc.arg('exact_up_to')::bigint
                    FROM (SELECT 1 FROM owned LIMIT sqlc.arg('exact_up_to')::bigint + 1) AS counted
                )
            ELSE false
        END AS by_index,
        (
            l2_normalize(@embedding::vector)
            || (
                '[' || rtrim(
                    replace(
                        replace(
                            hashtextextended(@model || ' ' || @user_id || ' ' || @agent_name, 0)::bit(64)::text,
                            '0', '-.2,'
                        ),
                        '1', '.2,'
                    ), ','
                ) || ']'
            )::vector
        )::halfvec(832) AS place
    FROM (
        SELECT
            CASE
                WHEN sqlc.narg('text')::text IS NULL THEN sqlc.narg('limit')::bigint
                ELSE greatest(sqlc.narg('limit') * 4, 100)
            END AS row_limit
    ) AS asked
),
near AS MATERIALIZED (
    SELECT id, score
    FROM (
        SELECT
            id,
            1 - nullif(
                CASE
                    WHEN vector_dims(embedding) = vector_dims(@embedding::vector)
                        THEN embedding <=> @embedding::vector
                END,
                'NaN'::float8
            ) AS score
        FROM agentrows_memory
        WHERE
            (SELECT by_index AND row_limit <= 500 FROM wanted)
            AND coalesce(sqlc.narg('min_score')::float8, 1) > 0
            AND current_setting('hnsw.iterative_scan', true) IS NOT NULL
            AND (SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true)) IS NOT NULL
            AND (
                SELECT set_config('hnsw.max_scan_tuples', scanned::text, true) FROM wanted
            ) IS NOT NULL
            AND (
                SELECT set_config(
                    'hnsw.ef_search', least(greatest(row_limit * 2, 400), 1000)::text, true
                )
                FROM wanted
            ) IS NOT NULL
            AND CASE
                WHEN
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
                    THEN true
                ELSE false
            END
        ORDER BY
            (
                l2_normalize(
                    CASE WHEN vector_dims(embedding) = 768 AND vector_norm(embedding) > 0 THEN embedding END
                )
                || (
                    '[' || rtrim(
                        replace(
                            replace(
                                hashtextextended(model || ' ' || user_id || ' ' || agent_name, 0)::bit(64)::text,
                                '0', '-.2,'
                            ),
                            '1', '.2,'
                        ), ','
                    ) || ']'
                )::vector
            )::halfvec(832) <=> (SELECT place FROM wanted)
        LIMIT 500
    ) AS nearest
    LIMIT (SELECT least(row_limit, 500) * 4 FROM wanted)
),
exact AS NOT MATERIALIZED (
    SELECT id, score
    FROM (
        SELECT
            id,
            1 - nullif(
                CASE
                    WHEN vector_dims(embedding) = vector_dims(@embedding)
                        THEN embedding <=> @embedding
                END,
                'NaN'::float8
            ) AS score
        FROM owned
        WHERE
            coalesce((SELECT count(*) FROM near) < (SELECT enough FROM wanted), true)
            AND (sqlc.narg('text') IS NULL OR embedding IS NOT NULL)
        OFFSET 0
    ) AS ranked
    WHERE coalesce(score, 0) >= coalesce(sqlc.narg('min_score'), -2)
),
by_vector AS MATERIALIZED (
    SELECT id, score, row_number() OVER (ORDER BY score DESC NULLS LAST, id) AS place
    FROM (
        SELECT id, score FROM near
        WHERE
            (SELECT count(*) FROM near) >= (SELECT enough FROM wanted)
            AND coalesce(score, 0) >= coalesce(sqlc.narg('min_score'), -2)
        UNION ALL
        SELECT id, score FROM exact
    ) AS ranked
    ORDER BY score DESC NULLS LAST, id
    LIMIT (SELECT row_limit FROM wanted)
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
    LIMIT (SELECT row_limit FROM wanted)
),
hit AS MATERIALIZED (
    SELECT
        coalesce(v.id, w.id) AS id,
        CASE
            WHEN sqlc.narg('text') IS NULL THEN greatest(-1, least(1, coalesce(v.score, 0)))
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

-- name: SearchOwnMemories1024 :many
-- Return the rows of SearchOwnMemories for an embedding with 1024 dimensions, by its index.
--
-- Owners with at most `exact_up_to` rows are scanned exactly; without a valid index all owners are.
-- The index contains the direction of each embedding, followed by 64 numbers that are the same for
-- all rows of an owner: the bits of a hash as 0.2 or -0.2. So the rows of an owner are nearer to
-- `place` than those of others, however near these are to the embedding, and the scan seldom reads a
-- row of another owner. It ends when four times `limit` rows pass the filter, of which the nearest
-- are returned, or at `scanned` rows. If it has fewer then, because it has not found the part of the
-- graph with the owner's rows, the exact scan runs as well. With a filter of metadata, which few
-- rows may pass, the scan goes on, and `limit` rows are enough. The settings last until the end of
-- the transaction. The CASE hides the filter from the planner, as in SearchMemories.
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
wanted AS MATERIALIZED (
    SELECT
        row_limit,
        CASE
            WHEN sqlc.narg('metadata') IS NULL THEN least(row_limit, 125) * 4
            ELSE row_limit
        END AS enough,
        CASE
            WHEN sqlc.narg('metadata') IS NULL THEN 10000 + least(row_limit, 500) * 100
            ELSE 1000000
        END AS scanned,
        CASE
            WHEN EXISTS (
                SELECT 1
                FROM pg_catalog.pg_index AS i
                JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
                WHERE
                    i.indrelid = to_regclass('agentrows_memory')
                    AND c.relname = 'agentrows_memory_nearest_1024'
                    AND i.indisvalid
            )
                AND vector_norm(@embedding::vector) > 0
                THEN (
                    SELECT count(*) > sqlc.arg('exact_up_to')::bigint
                    FROM (SELECT 1 FROM owned LIMIT sqlc.arg('exact_up_to')::bigint + 1) AS counted
                )
            ELSE false
        END AS by_index,
        (
            l2_normalize(@embedding::vector)
            || (
                '[' || rtrim(
                    replace(
                        replace(
                            hashtextextended(@model || ' ' || @user_id || ' ' || @agent_name, 0)::bit(64)::text,
                            '0', '-.2,'
                        ),
                        '1', '.2,'
                    ), ','
                ) || ']'
            )::vector
        )::halfvec(1088) AS place
    FROM (
        SELECT
            CASE
                WHEN sqlc.narg('text')::text IS NULL THEN sqlc.narg('limit')::bigint
                ELSE greatest(sqlc.narg('limit') * 4, 100)
            END AS row_limit
    ) AS asked
),
near AS MATERIALIZED (
    SELECT id, score
    FROM (
        SELECT
            id,
            1 - nullif(
                CASE
                    WHEN vector_dims(embedding) = vector_dims(@embedding::vector)
                        THEN embedding <=> @embedding::vector
                END,
                'NaN'::float8
            ) AS score
        FROM agentrows_memory
        WHERE
            (SELECT by_index AND row_limit <= 500 FROM wanted)
            AND coalesce(sqlc.narg('min_score')::float8, 1) > 0
            AND current_setting('hnsw.iterative_scan', true) IS NOT NULL
            AND (SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true)) IS NOT NULL
            AND (
                SELECT set_config('hnsw.max_scan_tuples', scanned::text, true) FROM wanted
            ) IS NOT NULL
            AND (
                SELECT set_config(
                    'hnsw.ef_search', least(greatest(row_limit * 2, 400), 1000)::text, true
                )
                FROM wanted
            ) IS NOT NULL
            AND CASE
                WHEN
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
                    THEN true
                ELSE false
            END
        ORDER BY
            (
                l2_normalize(
                    CASE WHEN vector_dims(embedding) = 1024 AND vector_norm(embedding) > 0 THEN embedding END
                )
                || (
                    '[' || rtrim(
                        replace(
                            replace(
                                hashtextextended(model || ' ' || user_id || ' ' || agent_name, 0)::bit(64)::text,
                                '0', '-.2,'
                            ),
                            '1', '.2,'
                        ), ','
                    ) || ']'
                )::vector
            )::halfvec(1088) <=> (SELECT place FROM wanted)
        LIMIT 500
    ) AS nearest
    LIMIT (SELECT least(row_limit, 500) * 4 FROM wanted)
),
exact AS NOT MATERIALIZED (
    SELECT id, score
    FROM (
        SELECT
            id,
            1 - nullif(
                CASE
                    WHEN vector_dims(embedding) = vector_dims(@embedding)
                        THEN embedding <=> @embedding
                END,
                'NaN'::float8
            ) AS score
        FROM owned
        WHERE
            coalesce((SELECT count(*) FROM near) < (SELECT enough FROM wanted), true)
            AND (sqlc.narg('text') IS NULL OR embedding IS NOT NULL)
        OFFSET 0
    ) AS ranked
    WHERE coalesce(score, 0) >= coalesce(sqlc.narg('min_score'), -2)
),
by_vector AS MATERIALIZED (
    SELECT id, score, row_number() OVER (ORDER BY score DESC NULLS LAST, id) AS place
    FROM (
        SELECT id, score FROM near
        WHERE
            (SELECT count(*) FROM near) >= (SELECT enough FROM wanted)
            AND coalesce(score, 0) >= coalesce(sqlc.narg('min_score'), -2)
        UNION ALL
        SELECT id, score FROM exact
    ) AS ranked
    ORDER BY score DESC NULLS LAST, id
    LIMIT (SELECT row_limit FROM wanted)
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
    LIMIT (SELECT row_limit FROM wanted)
),
hit AS MATERIALIZED (
    SELECT
        coalesce(v.id, w.id) AS id,
        CASE
            WHEN sqlc.narg('text') IS NULL THEN greatest(-1, least(1, coalesce(v.score, 0)))
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

-- name: SearchAndTouchOwnMemories1024 :many
-- Return the rows of SearchOwnMemories1024 and increment the access count of each.
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
wanted AS MATERIALIZED (
    SELECT
        row_limit,
        CASE
            WHEN sqlc.narg('metadata') IS NULL THEN least(row_limit, 125) * 4
            ELSE row_limit
        END AS enough,
        CASE
            WHEN sqlc.narg('metadata') IS NULL THEN 10000 + least(row_limit, 500) * 100
            ELSE 1000000
        END AS scanned,
        CASE
            WHEN EXISTS (
                SELECT 1
                FROM pg_catalog.pg_index AS i
                JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
                WHERE
                    i.indrelid = to_regclass('agentrows_memory')
                    AND c.relname = 'agentrows_memory_nearest_1024'
                    AND i.indisvalid
            )
                AND vector_norm(@embedding::vector) > 0
                THEN (
                    SELECT count(*) > sqlc.arg('exact_up_to')::bigint
                    FROM (SELECT 1 FROM owned LIMIT sqlc.arg('exact_up_to')::bigint + 1) AS counted
                )
            ELSE false
        END AS by_index,
        (
            l2_normalize(@embedding::vector)
            || (
                '[' || rtrim(
                    replace(
                        replace(
                            hashtextextended(@model || ' ' || @user_id || ' ' || @agent_name, 0)::bit(64)::text,
                            '0', '-.2,'
                        ),
                        '1', '.2,'
                    ), ','
                ) || ']'
            )::vector
        )::halfvec(1088) AS place
    FROM (
        SELECT
            CASE
                WHEN sqlc.narg('text')::text IS NULL THEN sqlc.narg('limit')::bigint
                ELSE greatest(sqlc.narg('limit') * 4, 100)
            END AS row_limit
    ) AS asked
),
near AS MATERIALIZED (
    SELECT id, score
    FROM (
        SELECT
            id,
            1 - nullif(
                CASE
                    WHEN vector_dims(embedding) = vector_dims(@embedding::vector)
                        THEN embedding <=> @embedding::vector
                END,
                'NaN'::float8
            ) AS score
        FROM agentrows_memory
        WHERE
            (SELECT by_index AND row_limit <= 500 FROM wanted)
            AND coalesce(sqlc.narg('min_score')::float8, 1) > 0
            AND current_setting('hnsw.iterative_scan', true) IS NOT NULL
            AND (SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true)) IS NOT NULL
            AND (
                SELECT set_config('hnsw.max_scan_tuples', scanned::text, true) FROM wanted
            ) IS NOT NULL
            AND (
                SELECT set_config(
                    'hnsw.ef_search', least(greatest(row_limit * 2, 400), 1000)::text, true
                )
                FROM wanted
            ) IS NOT NULL
            AND CASE
                WHEN
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
                    THEN true
                ELSE false
            END
        ORDER BY
            (
                l2_normalize(
                    CASE WHEN vector_dims(embedding) = 1024 AND vector_norm(embedding) > 0 THEN embedding END
                )
                || (
                    '[' || rtrim(
                        replace(
                            replace(
                                hashtextextended(model || ' ' || user_id || ' ' || agent_name, 0)::bit(64)::text,
                                '0', '-.2,'
                            ),
                            '1', '.2,'
                        ), ','
                    ) || ']'
                )::vector
            )::halfvec(1088) <=> (SELECT place FROM wanted)
        LIMIT 500
    ) AS nearest
    LIMIT (SELECT least(row_limit, 500) * 4 FROM wanted)
),
exact AS NOT MATERIALIZED (
    SELECT id, score
    FROM (
        SELECT
            id,
            1 - nullif(
                CASE
                    WHEN vector_dims(embedding) = vector_dims(@embedding)
                        THEN embedding <=> @embedding
                END,
                'NaN'::float8
            ) AS score
        FROM owned
        WHERE
            coalesce((SELECT count(*) FROM near) < (SELECT enough FROM wanted), true)
            AND (sqlc.narg('text') IS NULL OR embedding IS NOT NULL)
        OFFSET 0
    ) AS ranked
    WHERE coalesce(score, 0) >= coalesce(sqlc.narg('min_score'), -2)
),
by_vector AS MATERIALIZED (
    SELECT id, score, row_number() OVER (ORDER BY score DESC NULLS LAST, id) AS place
    FROM (
        SELECT id, score FROM near
        WHERE
            (SELECT count(*) FROM near) >= (SELECT enough FROM wanted)
            AND coalesce(score, 0) >= coalesce(sqlc.narg('min_score'), -2)
        UNION ALL
        SELECT id, score FROM exact
    ) AS ranked
    ORDER BY score DESC NULLS LAST, id
    LIMIT (SELECT row_limit FROM wanted)
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
    LIMIT (SELECT row_limit FROM wanted)
),
hit AS MATERIALIZED (
    SELECT
        coalesce(v.id, w.id) AS id,
        CASE
            WHEN sqlc.narg('text') IS NULL THEN greatest(-1, least(1, coalesce(v.score, 0)))
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

-- name: SearchOwnMemories1536 :many
-- Return the rows of SearchOwnMemories for an embedding with 1536 dimensions, by its index.
--
-- Owners with at most `exact_up_to` rows are scanned exactly; without a valid index all owners are.
-- The index contains the direction of each embedding, followed by 64 numbers that are the same for
-- all rows of an owner: the bits of a hash as 0.2 or -0.2. So the rows of an owner are nearer to
-- `place` than those of others, however near these are to the embedding, and the scan seldom reads a
-- row of another owner. It ends when four times `limit` rows pass the filter, of which the nearest
-- are returned, or at `scanned` rows. If it has fewer then, because it has not found the part of the
-- graph with the owner's rows, the exact scan runs as well. With a filter of metadata, which few
-- rows may pass, the scan goes on, and `limit` rows are enough. The settings last until the end of
-- the transaction. The CASE hides the filter from the planner, as in SearchMemories.
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
wanted AS MATERIALIZED (
    SELECT
        row_limit,
        CASE
            WHEN sqlc.narg('metadata') IS NULL THEN least(row_limit, 125) * 4
            ELSE row_limit
        END AS enough,
        CASE
            WHEN sqlc.narg('metadata') IS NULL THEN 10000 + least(row_limit, 500) * 100
            ELSE 1000000
        END AS scanned,
        CASE
            WHEN EXISTS (
                SELECT 1
                FROM pg_catalog.pg_index AS i
                JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
                WHERE
                    i.indrelid = to_regclass('agentrows_memory')
                    AND c.relname = 'agentrows_memory_nearest_1536'
                    AND i.indisvalid
            )
                AND vector_norm(@embedding::vector) > 0
                THEN (
                    SELECT count(*) > sqlc.arg('exact_up_to')::bigint
                    FROM (SELECT 1 FROM owned LIMIT sqlc.arg('exact_up_to')::bigint + 1) AS counted
                )
            ELSE false
        END AS by_index,
        (
            l2_normalize(@embedding::vector)
            || (
                '[' || rtrim(
                    replace(
                        replace(
                            hashtextextended(@model || ' ' || @user_id || ' ' || @agent_name, 0)::bit(64)::text,
                            '0', '-.2,'
                        ),
                        '1', '.2,'
                    ), ','
                ) || ']'
            )::vector
        )::halfvec(1600) AS place
    FROM (
        SELECT
            CASE
                WHEN sqlc.narg('text')::text IS NULL THEN sqlc.narg('limit')::bigint
                ELSE greatest(sqlc.narg('limit') * 4, 100)
            END AS row_limit
    ) AS asked
),
near AS MATERIALIZED (
    SELECT id, score
    FROM (
        SELECT
            id,
            1 - nullif(
                CASE
                    WHEN vector_dims(embedding) = vector_dims(@embedding::vector)
                        THEN embedding <=> @embedding::vector
                END,
                'NaN'::float8
            ) AS score
        FROM agentrows_memory
        WHERE
            (SELECT by_index AND row_limit <= 500 FROM wanted)
            AND coalesce(sqlc.narg('min_score')::float8, 1) > 0
            AND current_setting('hnsw.iterative_scan', true) IS NOT NULL
            AND (SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true)) IS NOT NULL
            AND (
                SELECT set_config('hnsw.max_scan_tuples', scanned::text, true) FROM wanted
            ) IS NOT NULL
            AND (
                SELECT set_config(
                    'hnsw.ef_search', least(greatest(row_limit * 2, 400), 1000)::text, true
                )
                FROM wanted
            ) IS NOT NULL
            AND CASE
                WHEN
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
                    THEN true
                ELSE false
            END
        ORDER BY
            (
                l2_normalize(
                    CASE WHEN vector_dims(embedding) = 1536 AND vector_norm(embedding) > 0 THEN embedding END
                )
                || (
                    '[' || rtrim(
                        replace(
                            replace(
                                hashtextextended(model || ' ' || user_id || ' ' || agent_name, 0)::bit(64)::text,
                                '0', '-.2,'
                            ),
                            '1', '.2,'
                        ), ','
                    ) || ']'
                )::vector
            )::halfvec(1600) <=> (SELECT place FROM wanted)
        LIMIT 500
    ) AS nearest
    LIMIT (SELECT least(row_limit, 500) * 4 FROM wanted)
),
exact AS NOT MATERIALIZED (
    SELECT id, score
    FROM (
        SELECT
            id,
            1 - nullif(
                CASE
                    WHEN vector_dims(embedding) = vector_dims(@embedding)
                        THEN embedding <=> @embedding
                END,
                'NaN'::float8
            ) AS score
        FROM owned
        WHERE
            coalesce((SELECT count(*) FROM near) < (SELECT enough FROM wanted), true)
            AND (sqlc.narg('text') IS NULL OR embedding IS NOT NULL)
        OFFSET 0
    ) AS ranked
    WHERE coalesce(score, 0) >= coalesce(sqlc.narg('min_score'), -2)
),
by_vector AS MATERIALIZED (
    SELECT id, score, row_number() OVER (ORDER BY score DESC NULLS LAST, id) AS place
    FROM (
        SELECT id, score FROM near
        WHERE
            (SELECT count(*) FROM near) >= (SELECT enough FROM wanted)
            AND coalesce(score, 0) >= coalesce(sqlc.narg('min_score'), -2)
        UNION ALL
        SELECT id, score FROM exact
    ) AS ranked
    ORDER BY score DESC NULLS LAST, id
    LIMIT (SELECT row_limit FROM wanted)
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
    LIMIT (SELECT row_limit FROM wanted)
),
hit AS MATERIALIZED (
    SELECT
        coalesce(v.id, w.id) AS id,
        CASE
            WHEN sqlc.narg('text') IS NULL THEN greatest(-1, least(1, coalesce(v.score, 0)))
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

-- name: SearchAndTouchOwnMemories1536 :many
-- Return the rows of SearchOwnMemories1536 and increment the access count of each.
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
wanted AS MATERIALIZED (
    SELECT
        row_limit,
        CASE
            WHEN sqlc.narg('metadata') IS NULL THEN least(row_limit, 125) * 4
            ELSE row_limit
        END AS enough,
        CASE
            WHEN sqlc.narg('metadata') IS NULL THEN 10000 + least(row_limit, 500) * 100
            ELSE 1000000
        END AS scanned,
        CASE
            WHEN EXISTS (
                SELECT 1
                FROM pg_catalog.pg_index AS i
                JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
                WHERE
                    i.indrelid = to_regclass('agentrows_memory')
                    AND c.relname = 'agentrows_memory_nearest_1536'
                    AND i.indisvalid
            )
                AND vector_norm(@embedding::vector) > 0
                THEN (
                    SELECT count(*) > sqlc.arg('exact_up_to')::bigint
                    FROM (SELECT 1 FROM owned LIMIT sqlc.arg('exact_up_to')::bigint + 1) AS counted
                )
            ELSE false
        END AS by_index,
        (
            l2_normalize(@embedding::vector)
            || (
                '[' || rtrim(
                    replace(
                        replace(
                            hashtextextended(@model || ' ' || @user_id || ' ' || @agent_name, 0)::bit(64)::text,
                            '0', '-.2,'
                        ),
                        '1', '.2,'
                    ), ','
                ) || ']'
            )::vector
        )::halfvec(1600) AS place
    FROM (
        SELECT
            CASE
                WHEN sqlc.narg('text')::text IS NULL THEN sqlc.narg('limit')::bigint
                ELSE greatest(sqlc.narg('limit') * 4, 100)
            END AS row_limit
    ) AS asked
),
near AS MATERIALIZED (
    SELECT id, score
    FROM (
        SELECT
            id,
            1 - nullif(
                CASE
                    WHEN vector_dims(embedding) = vector_dims(@embedding::vector)
                        THEN embedding <=> @embedding::vector
                END,
                'NaN'::float8
            ) AS score
        FROM agentrows_memory
        WHERE
            (SELECT by_index AND row_limit <= 500 FROM wanted)
            AND coalesce(sqlc.narg('min_score')::float8, 1) > 0
            AND current_setting('hnsw.iterative_scan', true) IS NOT NULL
            AND (SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true)) IS NOT NULL
            AND (
                SELECT set_config('hnsw.max_scan_tuples', scanned::text, true) FROM wanted
            ) IS NOT NULL
            AND (
                SELECT set_config(
                    'hnsw.ef_search', least(greatest(row_limit * 2, 400), 1000)::text, true
                )
                FROM wanted
            ) IS NOT NULL
            AND CASE
                WHEN
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
                    THEN true
                ELSE false
            END
        ORDER BY
            (
                l2_normalize(
                    CASE WHEN vector_dims(embedding) = 1536 AND vector_norm(embedding) > 0 THEN embedding END
                )
                || (
                    '[' || rtrim(
                        replace(
                            replace(
                                hashtextextended(model || ' ' || user_id || ' ' || agent_name, 0)::bit(64)::text,
                                '0', '-.2,'
                            ),
                            '1', '.2,'
                        ), ','
                    ) || ']'
                )::vector
            )::halfvec(1600) <=> (SELECT place FROM wanted)
        LIMIT 500
    ) AS nearest
    LIMIT (SELECT least(row_limit, 500) * 4 FROM wanted)
),
exact AS NOT MATERIALIZED (
    SELECT id, score
    FROM (
        SELECT
            id,
            1 - nullif(
                CASE
                    WHEN vector_dims(embedding) = vector_dims(@embedding)
                        THEN embedding <=> @embedding
                END,
                'NaN'::float8
            ) AS score
        FROM owned
        WHERE
            coalesce((SELECT count(*) FROM near) < (SELECT enough FROM wanted), true)
            AND (sqlc.narg('text') IS NULL OR embedding IS NOT NULL)
        OFFSET 0
    ) AS ranked
    WHERE coalesce(score, 0) >= coalesce(sqlc.narg('min_score'), -2)
),
by_vector AS MATERIALIZED (
    SELECT id, score, row_number() OVER (ORDER BY score DESC NULLS LAST, id) AS place
    FROM (
        SELECT id, score FROM near
        WHERE
            (SELECT count(*) FROM near) >= (SELECT enough FROM wanted)
            AND coalesce(score, 0) >= coalesce(sqlc.narg('min_score'), -2)
        UNION ALL
        SELECT id, score FROM exact
    ) AS ranked
    ORDER BY score DESC NULLS LAST, id
    LIMIT (SELECT row_limit FROM wanted)
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
    LIMIT (SELECT row_limit FROM wanted)
),
hit AS MATERIALIZED (
    SELECT
        coalesce(v.id, w.id) AS id,
        CASE
            WHEN sqlc.narg('text') IS NULL THEN greatest(-1, least(1, coalesce(v.score, 0)))
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

-- name: SearchOwnMemories3072 :many
-- Return the rows of SearchOwnMemories for an embedding with 3072 dimensions, by its index.
--
-- Owners with at most `exact_up_to` rows are scanned exactly; without a valid index all owners are.
-- The index contains the direction of each embedding, followed by 64 numbers that are the same for
-- all rows of an owner: the bits of a hash as 0.2 or -0.2. So the rows of an owner are nearer to
-- `place` than those of others, however near these are to the embedding, and the scan seldom reads a
-- row of another owner. It ends when four times `limit` rows pass the filter, of which the nearest
-- are returned, or at `scanned` rows. If it has fewer then, because it has not found the part of the
-- graph with the owner's rows, the exact scan runs as well. With a filter of metadata, which few
-- rows may pass, the scan goes on, and `limit` rows are enough. The settings last until the end of
-- the transaction. The CASE hides the filter from the planner, as in SearchMemories.
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
wanted AS MATERIALIZED (
    SELECT
        row_limit,
        CASE
            WHEN sqlc.narg('metadata') IS NULL THEN least(row_limit, 125) * 4
            ELSE row_limit
        END AS enough,
        CASE
            WHEN sqlc.narg('metadata') IS NULL THEN 10000 + least(row_limit, 500) * 100
            ELSE 1000000
        END AS scanned,
        CASE
            WHEN EXISTS (
                SELECT 1
                FROM pg_catalog.pg_index AS i
                JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
                WHERE
                    i.indrelid = to_regclass('agentrows_memory')
                    AND c.relname = 'agentrows_memory_nearest_3072'
                    AND i.indisvalid
            )
                AND vector_norm(@embedding::vector) > 0
                THEN (
                    SELECT count(*) > sqlc.arg('exact_up_to')::bigint
                    FROM (SELECT 1 FROM owned LIMIT sqlc.arg('exact_up_to')::bigint + 1) AS counted
                )
            ELSE false
        END AS by_index,
        (
            l2_normalize(@embedding::vector)
            || (
                '[' || rtrim(
                    replace(
                        replace(
                            hashtextextended(@model || ' ' || @user_id || ' ' || @agent_name, 0)::bit(64)::text,
                            '0', '-.2,'
                        ),
                        '1', '.2,'
                    ), ','
                ) || ']'
            )::vector
        )::halfvec(3136) AS place
    FROM (
        SELECT
            CASE
                WHEN sqlc.narg('text')::text IS NULL THEN sqlc.narg('limit')::bigint
                ELSE greatest(sqlc.narg('limit') * 4, 100)
            END AS row_limit
    ) AS asked
),
near AS MATERIALIZED (
    SELECT id, score
    FROM (
        SELECT
            id,
            1 - nullif(
                CASE
                    WHEN vector_dims(embedding) = vector_dims(@embedding::vector)
                        THEN embedding <=> @embedding::vector
                END,
                'NaN'::float8
            ) AS score
        FROM agentrows_memory
        WHERE
            (SELECT by_index AND row_limit <= 500 FROM wanted)
            AND coalesce(sqlc.narg('min_score')::float8, 1) > 0
            AND current_setting('hnsw.iterative_scan', true) IS NOT NULL
            AND (SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true)) IS NOT NULL
            AND (
                SELECT set_config('hnsw.max_scan_tuples', scanned::text, true) FROM wanted
            ) IS NOT NULL
            AND (
                SELECT set_config(
                    'hnsw.ef_search', least(greatest(row_limit * 2, 400), 1000)::text, true
                )
                FROM wanted
            ) IS NOT NULL
            AND CASE
                WHEN
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
                    THEN true
                ELSE false
            END
        ORDER BY
            (
                l2_normalize(
                    CASE WHEN vector_dims(embedding) = 3072 AND vector_norm(embedding) > 0 THEN embedding END
                )
                || (
                    '[' || rtrim(
                        replace(
                            replace(
                                hashtextextended(model || ' ' || user_id || ' ' || agent_name, 0)::bit(64)::text,
                                '0', '-.2,'
                            ),
                            '1', '.2,'
                        ), ','
                    ) || ']'
                )::vector
            )::halfvec(3136) <=> (SELECT place FROM wanted)
        LIMIT 500
    ) AS nearest
    LIMIT (SELECT least(row_limit, 500) * 4 FROM wanted)
),
exact AS NOT MATERIALIZED (
    SELECT id, score
    FROM (
        SELECT
            id,
            1 - nullif(
                CASE
                    WHEN vector_dims(embedding) = vector_dims(@embedding)
                        THEN embedding <=> @embedding
                END,
                'NaN'::float8
            ) AS score
        FROM owned
        WHERE
            coalesce((SELECT count(*) FROM near) < (SELECT enough FROM wanted), true)
            AND (sqlc.narg('text') IS NULL OR embedding IS NOT NULL)
        OFFSET 0
    ) AS ranked
    WHERE coalesce(score, 0) >= coalesce(sqlc.narg('min_score'), -2)
),
by_vector AS MATERIALIZED (
    SELECT id, score, row_number() OVER (ORDER BY score DESC NULLS LAST, id) AS place
    FROM (
        SELECT id, score FROM near
        WHERE
            (SELECT count(*) FROM near) >= (SELECT enough FROM wanted)
            AND coalesce(score, 0) >= coalesce(sqlc.narg('min_score'), -2)
        UNION ALL
        SELECT id, score FROM exact
    ) AS ranked
    ORDER BY score DESC NULLS LAST, id
    LIMIT (SELECT row_limit FROM wanted)
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
    LIMIT (SELECT row_limit FROM wanted)
),
hit AS MATERIALIZED (
    SELECT
        coalesce(v.id, w.id) AS id,
        CASE
            WHEN sqlc.narg('text') IS NULL THEN greatest(-1, least(1, coalesce(v.score, 0)))
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

-- name: SearchAndTouchOwnMemories3072 :many
-- Return the rows of SearchOwnMemories3072 and increment the access count of each.
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
wanted AS MATERIALIZED (
    SELECT
        row_limit,
        CASE
            WHEN sqlc.narg('metadata') IS NULL THEN least(row_limit, 125) * 4
            ELSE row_limit
        END AS enough,
        CASE
            WHEN sqlc.narg('metadata') IS NULL THEN 10000 + least(row_limit, 500) * 100
            ELSE 1000000
        END AS scanned,
        CASE
            WHEN EXISTS (
                SELECT 1
                FROM pg_catalog.pg_index AS i
                JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
                WHERE
                    i.indrelid = to_regclass('agentrows_memory')
                    AND c.relname = 'agentrows_memory_nearest_3072'
                    AND i.indisvalid
            )
                AND vector_norm(@embedding::vector) > 0
                THEN (
                    SELECT count(*) > sqlc.arg('exact_up_to')::bigint
                    FROM (SELECT 1 FROM owned LIMIT sqlc.arg('exact_up_to')::bigint + 1) AS counted
                )
            ELSE false
        END AS by_index,
        (
            l2_normalize(@embedding::vector)
            || (
                '[' || rtrim(
                    replace(
                        replace(
                            hashtextextended(@model || ' ' || @user_id || ' ' || @agent_name, 0)::bit(64)::text,
                            '0', '-.2,'
                        ),
                        '1', '.2,'
                    ), ','
                ) || ']'
            )::vector
        )::halfvec(3136) AS place
    FROM (
        SELECT
            CASE
                WHEN sqlc.narg('text')::text IS NULL THEN sqlc.narg('limit')::bigint
                ELSE greatest(sqlc.narg('limit') * 4, 100)
            END AS row_limit
    ) AS asked
),
near AS MATERIALIZED (
    SELECT id, score
    FROM (
        SELECT
            id,
            1 - nullif(
                CASE
                    WHEN vector_dims(embedding) = vector_dims(@embedding::vector)
                        THEN embedding <=> @embedding::vector
                END,
                'NaN'::float8
            ) AS score
        FROM agentrows_memory
        WHERE
            (SELECT by_index AND row_limit <= 500 FROM wanted)
            AND coalesce(sqlc.narg('min_score')::float8, 1) > 0
            AND current_setting('hnsw.iterative_scan', true) IS NOT NULL
            AND (SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true)) IS NOT NULL
            AND (
                SELECT set_config('hnsw.max_scan_tuples', scanned::text, true) FROM wanted
            ) IS NOT NULL
            AND (
                SELECT set_config(
                    'hnsw.ef_search', least(greatest(row_limit * 2, 400), 1000)::text, true
                )
                FROM wanted
            ) IS NOT NULL
            AND CASE
                WHEN
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
                    THEN true
                ELSE false
            END
        ORDER BY
            (
                l2_normalize(
                    CASE WHEN vector_dims(embedding) = 3072 AND vector_norm(embedding) > 0 THEN embedding END
                )
                || (
                    '[' || rtrim(
                        replace(
                            replace(
                                hashtextextended(model || ' ' || user_id || ' ' || agent_name, 0)::bit(64)::text,
                                '0', '-.2,'
                            ),
                            '1', '.2,'
                        ), ','
                    ) || ']'
                )::vector
            )::halfvec(3136) <=> (SELECT place FROM wanted)
        LIMIT 500
    ) AS nearest
    LIMIT (SELECT least(row_limit, 500) * 4 FROM wanted)
),
exact AS NOT MATERIALIZED (
    SELECT id, score
    FROM (
        SELECT
            id,
            1 - nullif(
                CASE
                    WHEN vector_dims(embedding) = vector_dims(@embedding)
                        THEN embedding <=> @embedding
                END,
                'NaN'::float8
            ) AS score
        FROM owned
        WHERE
            coalesce((SELECT count(*) FROM near) < (SELECT enough FROM wanted), true)
            AND (sqlc.narg('text') IS NULL OR embedding IS NOT NULL)
        OFFSET 0
    ) AS ranked
    WHERE coalesce(score, 0) >= coalesce(sqlc.narg('min_score'), -2)
),
by_vector AS MATERIALIZED (
    SELECT id, score, row_number() OVER (ORDER BY score DESC NULLS LAST, id) AS place
    FROM (
        SELECT id, score FROM near
        WHERE
            (SELECT count(*) FROM near) >= (SELECT enough FROM wanted)
            AND coalesce(score, 0) >= coalesce(sqlc.narg('min_score'), -2)
        UNION ALL
        SELECT id, score FROM exact
    ) AS ranked
    ORDER BY score DESC NULLS LAST, id
    LIMIT (SELECT row_limit FROM wanted)
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
    LIMIT (SELECT row_limit FROM wanted)
),
hit AS MATERIALIZED (
    SELECT
        coalesce(v.id, w.id) AS id,
        CASE
            WHEN sqlc.narg('text') IS NULL THEN greatest(-1, least(1, coalesce(v.score, 0)))
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

-- CrewAI: the long-term memory of a crew and the states of its flows, by user and thread.
-- py: file

-- name: UpsertCrewAIMemory :one
-- Store the memory of a thread and restore a deleted one.
-- py: json memory_data
INSERT INTO crewai_agent_memory (user_id, thread_id, memory_data, created_at, updated_at)
VALUES (@user_id, @thread_id, @memory_data, statement_timestamp(), statement_timestamp())
ON CONFLICT (user_id, thread_id) DO UPDATE SET
    memory_data = excluded.memory_data,
    updated_at = excluded.updated_at,
    deleted_at = NULL
RETURNING *;

-- name: SearchCrewAIMemoryByTask :many
-- Return a user's memories that contain a text in their task description.
--
-- Newest first, then lowest score first. The text is literal and matches in any case. If
-- memory_data is not JSON, or is nested 5,000 levels deep, its whole text is searched. OFFSET 0
-- makes the server parse each row once. The CASE hides the search from the planner, which would
-- otherwise estimate that hardly any row matches and sort all rows.
SELECT memory.* FROM crewai_agent_memory AS memory
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN
                (
                    length(memory.memory_data) - length(translate(memory.memory_data, '[{', '')) < 5000
                    OR (
                        SELECT coalesce(max(nested.depth), 0)
                        FROM (
                            SELECT
                                sum(CASE WHEN bracket.sign IN ('[', '{') THEN 1 ELSE -1 END)
                                    OVER (ORDER BY bracket.place) AS depth
                            FROM unnest(
                                string_to_array(
                                    regexp_replace(
                                        memory.memory_data, '"(?:[^"\\]|\\.)*\\?(?:"|$)|[^][{}"]+', '', 'g'
                                    ),
                                    NULL
                                )
                            ) WITH ORDINALITY AS bracket (sign, place)
                        ) AS nested
                    ) < 5000
                )
                AND pg_input_is_valid(memory.memory_data, 'jsonb')
                THEN memory.memory_data::jsonb
        END AS document
    OFFSET 0
) AS parsed
WHERE
    memory.user_id = @user_id
    AND memory.deleted_at IS NULL
    AND CASE
        WHEN
            strpos(
                lower(coalesce(parsed.document ->> 'task_description', memory.memory_data)),
                lower(@task_description::text)
            ) > 0
            THEN true
        ELSE false
    END
ORDER BY
    coalesce(memory.created_at, '-infinity'::timestamptz) DESC,
    CASE
        WHEN pg_input_is_valid(parsed.document ->> 'score', 'float8')
            THEN (parsed.document ->> 'score')::float8
    END,
    memory.thread_id
LIMIT sqlc.narg('limit')::bigint;

-- name: SearchCrewAIMemoryOfThread :one
-- Return the memory of one thread if its task description contains a text.
--
-- The conditions are those of SearchCrewAIMemoryByTask.
SELECT memory.* FROM crewai_agent_memory AS memory
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN
                (
                    length(memory.memory_data) - length(translate(memory.memory_data, '[{', '')) < 5000
                    OR (
                        SELECT coalesce(max(nested.depth), 0)
                        FROM (
                            SELECT
                                sum(CASE WHEN bracket.sign IN ('[', '{') THEN 1 ELSE -1 END)
                                    OVER (ORDER BY bracket.place) AS depth
                            FROM unnest(
                                string_to_array(
                                    regexp_replace(
                                        memory.memory_data, '"(?:[^"\\]|\\.)*\\?(?:"|$)|[^][{}"]+', '', 'g'
                                    ),
                                    NULL
                                )
                            ) WITH ORDINALITY AS bracket (sign, place)
                        ) AS nested
                    ) < 5000
                )
                AND pg_input_is_valid(memory.memory_data, 'jsonb')
                THEN memory.memory_data::jsonb
        END AS document
    OFFSET 0
) AS parsed
WHERE
    memory.user_id = @user_id
    AND memory.thread_id = @thread_id
    AND memory.deleted_at IS NULL
    AND strpos(
        lower(coalesce(parsed.document ->> 'task_description', memory.memory_data)),
        lower(@task_description::text)
    ) > 0;

-- name: DeleteCrewAIMemory :execrows
-- Mark the memory of a thread as deleted.
UPDATE crewai_agent_memory
SET deleted_at = statement_timestamp()
WHERE user_id = @user_id AND thread_id = @thread_id AND deleted_at IS NULL;

-- name: UpsertCrewAIFlowState :one
-- Store the state of a flow after one of its methods and restore a deleted one.
INSERT INTO crewai_flow_state (
    user_id, thread_id, method_name, state_data, created_at, updated_at
)
VALUES (
    @user_id,
    @thread_id,
    @method_name,
    @state_data,
    statement_timestamp(),
    statement_timestamp()
)
ON CONFLICT (user_id, thread_id, method_name) DO UPDATE SET
    state_data = excluded.state_data,
    updated_at = excluded.updated_at,
    deleted_at = NULL
RETURNING *;

-- name: FindLatestCrewAIFlowState :one
-- Return the most recently stored state of a flow.
--
-- No row if the flow has no state.
-- py: json state_data
SELECT * FROM crewai_flow_state
WHERE user_id = @user_id AND thread_id = @thread_id AND deleted_at IS NULL
ORDER BY coalesce(updated_at, '-infinity'::timestamptz) DESC, method_name DESC
LIMIT 1;

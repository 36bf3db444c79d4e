-- name: ListPosts :many
-- Every post, with its replies.
SELECT
    post.id,
    post.title,
    coalesce(
        jsonb_agg(reply ORDER BY reply.id) FILTER (WHERE reply.id IS NOT NULL), '[]'
    ) AS replies
FROM post LEFT JOIN reply ON reply.post_id = post.id
GROUP BY post.id
ORDER BY post.id;

-- name: ListUnfiltered :many
-- py: iterator
SELECT sqlc.embed(post), json_agg(r) AS replies
FROM post LEFT JOIN reply AS r ON r.post_id = post.id
GROUP BY post.id ORDER BY post.id;

-- name: FindReplies :one
SELECT (SELECT jsonb_agg(r ORDER BY r.id) FROM reply AS r WHERE r.post_id = post.id) AS replies
FROM post WHERE post.id = @id;

-- name: CollectReplies :one
SELECT coalesce(jsonb_agg(to_jsonb(r) ORDER BY r.id), '[]'::jsonb) AS replies
FROM reply AS r WHERE r.post_id = @post_id;

-- name: ListReplies :many
SELECT to_json(r) AS reply FROM reply AS r ORDER BY r.id;

-- name: ListTrees :many
-- Posts with two levels below them.
SELECT
    post.id,
    (
        SELECT coalesce(jsonb_agg(answer ORDER BY answer.id), '[]')
        FROM (
            SELECT
                reply.id,
                upper(reply.body) AS loud,
                reply.price,
                (
                    SELECT coalesce(jsonb_agg(a ORDER BY a.id), '[]')
                    FROM attachment AS a WHERE a.reply_id = reply.id
                ) AS attachments
            FROM reply WHERE reply.post_id = post.id
        ) AS answer
    ) AS answers
FROM post ORDER BY post.id;

-- name: ListDeclared :many
-- py: column replies models.Reply[]
-- py: column first models.Reply?
-- py: column lightest models.Attachment?[]?
SELECT
    post.id,
    (
        SELECT coalesce(jsonb_agg(r ORDER BY r.id), '[]')::text FROM reply AS r
        WHERE r.post_id = post.id
    ) AS replies,
    (
        SELECT to_jsonb(r) FROM reply AS r WHERE r.post_id = post.id ORDER BY r.id LIMIT 1
    ) AS first,
    (
        SELECT jsonb_agg(jsonb_build_object('id', a.id, 'reply_id', a.reply_id, 'weight', a.weight))
        FROM attachment AS a JOIN reply AS r ON r.id = a.reply_id WHERE r.post_id = post.id
    ) AS lightest
FROM post ORDER BY post.id;

-- name: RepliesOf :batchone
SELECT coalesce(jsonb_agg(r ORDER BY r.id), '[]') AS replies FROM reply AS r
WHERE r.post_id = @post_id;

-- name: RowsOf :batchmany
SELECT row_to_json(r) AS reply FROM reply AS r WHERE r.post_id = @post_id ORDER BY r.id;

-- name: Pairs :many
SELECT post.*, a.id, a.weight, r.id
FROM post JOIN reply AS r ON r.post_id = post.id JOIN attachment AS a ON a.reply_id = r.id;

-- name: JsonAlone :many
SELECT jsonb_agg(r.body) AS bodies, jsonb_agg(r) || '[]' AS mixed FROM reply AS r;

-- name: Deep :many
-- Subqueries at both levels, in columns of one name.
SELECT
    post.id,
    (
        SELECT coalesce(jsonb_agg(one ORDER BY one.id), '[]')
        FROM (
            SELECT
                reply.id,
                (
                    SELECT jsonb_agg(two ORDER BY two.weight)
                    FROM (
                        SELECT a.weight, a.id AS "class" FROM attachment AS a
                        WHERE a.reply_id = reply.id
                    ) AS two
                ) AS rows
            FROM reply WHERE reply.post_id = post.id
        ) AS one
    ) AS rows
FROM post ORDER BY post.id;

-- name: AllReplies :many
SELECT * FROM reply ORDER BY id;

-- name: ListTickets :many
-- The tickets of a team in the selected order.
-- py: order by sort over (title, due nulls last, order)
SELECT * FROM ticket WHERE team_id = @team_id ORDER BY id LIMIT @page_size;

-- name: FirstTicket :one
-- py: order by by over (due asc, "id" desc)
SELECT id, due FROM ticket WHERE title <> ALL (@titles::text[]) ORDER BY ticket.id LIMIT 1;

-- name: StreamTitles :many
-- py: order by sql over (title)
-- py: iterator
SELECT title AS "title!" FROM ticket UNION ALL SELECT title FROM team ORDER BY 1;

-- name: RankTickets :many
-- A window and a subquery have orders of their own.
-- py: order by sort over (rank desc)
WITH late AS (SELECT * FROM ticket ORDER BY due LIMIT 9)
SELECT sqlc.embed(team), rank() OVER (ORDER BY count(*) DESC) AS rank
FROM team JOIN late ON late.team_id = team.id
WHERE team.id IN (sqlc.slice(team_ids)) AND team.title <> @one AND team.title <> @other
GROUP BY team.id ORDER BY team.id;

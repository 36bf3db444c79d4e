-- Lets a transaction that names its user see and change the rows of that user alone.

-- agentrows.user_id is set for one transaction (`client.as_user`). Where it is not, every row is seen,
-- as prunes and lists for operators need it; a role with agentrows.unscoped = 'deny' sees none.
-- FORCE, because an application often owns its tables, and owners are not asked otherwise. The
-- settings are read in subqueries, once for a statement and not once for a row.

ALTER TABLE session ENABLE ROW LEVEL SECURITY;
ALTER TABLE session FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON session;
CREATE POLICY agentrows_owner ON session USING (
    user_id = (SELECT nullif(current_setting('agentrows.user_id', true), ''))
    OR (
        SELECT
            coalesce(current_setting('agentrows.user_id', true), '') = ''
            AND current_setting('agentrows.unscoped', true) IS DISTINCT FROM 'deny'
    )
);

ALTER TABLE event ENABLE ROW LEVEL SECURITY;
ALTER TABLE event FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON event;
CREATE POLICY agentrows_owner ON event USING (
    user_id = (SELECT nullif(current_setting('agentrows.user_id', true), ''))
    OR (
        SELECT
            coalesce(current_setting('agentrows.user_id', true), '') = ''
            AND current_setting('agentrows.unscoped', true) IS DISTINCT FROM 'deny'
    )
);

ALTER TABLE task ENABLE ROW LEVEL SECURITY;
ALTER TABLE task FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON task;
CREATE POLICY agentrows_owner ON task USING (
    user_id = (SELECT nullif(current_setting('agentrows.user_id', true), ''))
    OR (
        SELECT
            coalesce(current_setting('agentrows.user_id', true), '') = ''
            AND current_setting('agentrows.unscoped', true) IS DISTINCT FROM 'deny'
    )
);

-- A config belongs to whom its task belongs to. The table task has its own policy, which holds here too.
ALTER TABLE push_notification ENABLE ROW LEVEL SECURITY;
ALTER TABLE push_notification FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON push_notification;
CREATE POLICY agentrows_owner ON push_notification USING (
    EXISTS (
        SELECT 1 FROM task
        WHERE
            task.id = push_notification.task_id
            AND task.user_id = (SELECT nullif(current_setting('agentrows.user_id', true), ''))
    )
    OR (
        SELECT
            coalesce(current_setting('agentrows.user_id', true), '') = ''
            AND current_setting('agentrows.unscoped', true) IS DISTINCT FROM 'deny'
    )
);

ALTER TABLE feedback ENABLE ROW LEVEL SECURITY;
ALTER TABLE feedback FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON feedback;
CREATE POLICY agentrows_owner ON feedback USING (
    user_id = (SELECT nullif(current_setting('agentrows.user_id', true), ''))
    OR (
        SELECT
            coalesce(current_setting('agentrows.user_id', true), '') = ''
            AND current_setting('agentrows.unscoped', true) IS DISTINCT FROM 'deny'
    )
);

ALTER TABLE lg_checkpoint ENABLE ROW LEVEL SECURITY;
ALTER TABLE lg_checkpoint FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON lg_checkpoint;
CREATE POLICY agentrows_owner ON lg_checkpoint USING (
    user_id = (SELECT nullif(current_setting('agentrows.user_id', true), ''))
    OR (
        SELECT
            coalesce(current_setting('agentrows.user_id', true), '') = ''
            AND current_setting('agentrows.unscoped', true) IS DISTINCT FROM 'deny'
    )
);

ALTER TABLE lg_checkpoint_write ENABLE ROW LEVEL SECURITY;
ALTER TABLE lg_checkpoint_write FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON lg_checkpoint_write;
CREATE POLICY agentrows_owner ON lg_checkpoint_write USING (
    user_id = (SELECT nullif(current_setting('agentrows.user_id', true), ''))
    OR (
        SELECT
            coalesce(current_setting('agentrows.user_id', true), '') = ''
            AND current_setting('agentrows.unscoped', true) IS DISTINCT FROM 'deny'
    )
);

ALTER TABLE crewai_agent_memory ENABLE ROW LEVEL SECURITY;
ALTER TABLE crewai_agent_memory FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON crewai_agent_memory;
CREATE POLICY agentrows_owner ON crewai_agent_memory USING (
    user_id = (SELECT nullif(current_setting('agentrows.user_id', true), ''))
    OR (
        SELECT
            coalesce(current_setting('agentrows.user_id', true), '') = ''
            AND current_setting('agentrows.unscoped', true) IS DISTINCT FROM 'deny'
    )
);

ALTER TABLE crewai_flow_state ENABLE ROW LEVEL SECURITY;
ALTER TABLE crewai_flow_state FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON crewai_flow_state;
CREATE POLICY agentrows_owner ON crewai_flow_state USING (
    user_id = (SELECT nullif(current_setting('agentrows.user_id', true), ''))
    OR (
        SELECT
            coalesce(current_setting('agentrows.user_id', true), '') = ''
            AND current_setting('agentrows.unscoped', true) IS DISTINCT FROM 'deny'
    )
);

ALTER TABLE session_share ENABLE ROW LEVEL SECURITY;
ALTER TABLE session_share FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON session_share;
CREATE POLICY agentrows_owner ON session_share USING (
    user_id = (SELECT nullif(current_setting('agentrows.user_id', true), ''))
    OR (
        SELECT
            coalesce(current_setting('agentrows.user_id', true), '') = ''
            AND current_setting('agentrows.unscoped', true) IS DISTINCT FROM 'deny'
    )
);

ALTER TABLE session_share_access ENABLE ROW LEVEL SECURITY;
ALTER TABLE session_share_access FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON session_share_access;
CREATE POLICY agentrows_owner ON session_share_access USING (
    user_id = (SELECT nullif(current_setting('agentrows.user_id', true), ''))
    OR (
        SELECT
            coalesce(current_setting('agentrows.user_id', true), '') = ''
            AND current_setting('agentrows.unscoped', true) IS DISTINCT FROM 'deny'
    )
);

-- Lets a transaction that names its user see and change the targets of that user's feedback alone.

ALTER TABLE agentrows_feedback_target ENABLE ROW LEVEL SECURITY;
ALTER TABLE agentrows_feedback_target FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON agentrows_feedback_target;
CREATE POLICY agentrows_owner ON agentrows_feedback_target USING (
    user_id = (SELECT nullif(current_setting('agentrows.user_id', true), ''))
    OR (
        SELECT
            coalesce(current_setting('agentrows.user_id', true), '') = ''
            AND current_setting('agentrows.unscoped', true) IS DISTINCT FROM 'deny'
    )
);

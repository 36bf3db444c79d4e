-- Lets a transaction that names its user see and change the transcripts of that user alone.

ALTER TABLE agentrows_transcript ENABLE ROW LEVEL SECURITY;
ALTER TABLE agentrows_transcript FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON agentrows_transcript;
CREATE POLICY agentrows_owner ON agentrows_transcript USING (
    user_id = (SELECT nullif(current_setting('agentrows.user_id', true), ''))
    OR (
        SELECT
            coalesce(current_setting('agentrows.user_id', true), '') = ''
            AND current_setting('agentrows.unscoped', true) IS DISTINCT FROM 'deny'
    )
);

ALTER TABLE agentrows_transcript_entry ENABLE ROW LEVEL SECURITY;
ALTER TABLE agentrows_transcript_entry FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON agentrows_transcript_entry;
CREATE POLICY agentrows_owner ON agentrows_transcript_entry USING (
    user_id = (SELECT nullif(current_setting('agentrows.user_id', true), ''))
    OR (
        SELECT
            coalesce(current_setting('agentrows.user_id', true), '') = ''
            AND current_setting('agentrows.unscoped', true) IS DISTINCT FROM 'deny'
    )
);

-- Links feedback to the event or the task that it is about, without a change of the table feedback.

CREATE TABLE IF NOT EXISTS agentrows_feedback_target (
    feedback_id BIGINT NOT NULL,
    user_id TEXT NOT NULL,
    event_id TEXT,
    task_id TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (feedback_id, user_id)
);
COMMENT ON TABLE agentrows_feedback_target IS 'The event or the task that feedback is about.';
COMMENT ON COLUMN agentrows_feedback_target.feedback_id IS
'The feedback, which another program may have deleted.';
COMMENT ON COLUMN agentrows_feedback_target.user_id IS 'The author of the feedback.';
COMMENT ON COLUMN agentrows_feedback_target.event_id IS
'The event that the feedback is about, which need not be stored; NULL without one.';
COMMENT ON COLUMN agentrows_feedback_target.task_id IS
'The task that the feedback is about, which need not be stored; NULL without one.';
COMMENT ON COLUMN agentrows_feedback_target.created_at IS 'When the feedback was stored.';
CREATE INDEX IF NOT EXISTS agentrows_feedback_target_user ON agentrows_feedback_target (user_id);
CREATE INDEX IF NOT EXISTS agentrows_feedback_target_created
ON agentrows_feedback_target (created_at);

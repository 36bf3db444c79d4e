-- Lets feedback be stored again after a lost answer, without a second row: a user's key says which
-- row it made.

CREATE TABLE IF NOT EXISTS agentrows_feedback_key (
    user_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    feedback_id BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, idempotency_key)
);

COMMENT ON TABLE agentrows_feedback_key IS 'Which feedback a user stored under a key.';
COMMENT ON COLUMN agentrows_feedback_key.idempotency_key IS
'Chosen by the application for one call; unique for the user.';

-- Stores the state of sessions, of users and of applications, and the version of each session.

CREATE TABLE IF NOT EXISTS agentrows_session_state (
    user_id TEXT NOT NULL,
    app_name TEXT NOT NULL,
    session_id TEXT NOT NULL,
    state JSONB NOT NULL,
    version BIGINT NOT NULL,
    last_event_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (user_id, session_id, app_name)
);
COMMENT ON TABLE agentrows_session_state IS 'The state of a session of an application.';
COMMENT ON COLUMN agentrows_session_state.user_id IS 'The owner of the session.';
COMMENT ON COLUMN agentrows_session_state.app_name IS
'The application, which is the agent of the session.';
COMMENT ON COLUMN agentrows_session_state.session_id IS
'The id that the application uses: the id of the session up to the character U+001F.';
COMMENT ON COLUMN agentrows_session_state.state IS
'The values that the events of the session have set, by key.';
COMMENT ON COLUMN agentrows_session_state.version IS
'The number of changes: 1 for a new session, and one more for each event.';
COMMENT ON COLUMN agentrows_session_state.last_event_at IS
'The time of the last event by the clock of the application, in seconds since 1970.';

CREATE TABLE IF NOT EXISTS agentrows_user_state (
    user_id TEXT NOT NULL,
    app_name TEXT NOT NULL,
    state JSONB NOT NULL,
    PRIMARY KEY (user_id, app_name)
);
COMMENT ON TABLE agentrows_user_state IS
'The state that all sessions of a user with an application share.';
COMMENT ON COLUMN agentrows_user_state.user_id IS 'The owner of the state.';
COMMENT ON COLUMN agentrows_user_state.app_name IS 'The application that set the values.';
COMMENT ON COLUMN agentrows_user_state.state IS 'The values by key, without the prefix user:.';

CREATE TABLE IF NOT EXISTS agentrows_app_state (
    app_name TEXT PRIMARY KEY,
    state JSONB NOT NULL
);
COMMENT ON TABLE agentrows_app_state IS
'The state that all sessions of an application share; it belongs to no user.';
COMMENT ON COLUMN agentrows_app_state.app_name IS 'The application that set the values.';
COMMENT ON COLUMN agentrows_app_state.state IS 'The values by key, without the prefix app:.';

-- Removes the state of sessions, of users and of applications.

DROP TABLE IF EXISTS agentrows_app_state;
DROP TABLE IF EXISTS agentrows_user_state;
DROP TABLE IF EXISTS agentrows_session_state;

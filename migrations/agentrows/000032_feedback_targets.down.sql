-- Removes the links of feedback to events and tasks; the feedback stays.

DROP TABLE IF EXISTS agentrows_feedback_target;

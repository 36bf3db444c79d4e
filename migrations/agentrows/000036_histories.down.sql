-- Removes the histories; nothing else contains them.

DROP TABLE IF EXISTS agentrows_history_entry;
DROP TABLE IF EXISTS agentrows_history;

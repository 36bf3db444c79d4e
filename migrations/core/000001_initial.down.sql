-- Drops the twelve tables, with all their rows.

DROP TABLE IF EXISTS crewai_flow_state;
DROP TABLE IF EXISTS crewai_agent_memory;
DROP TABLE IF EXISTS lg_checkpoint_write;
DROP TABLE IF EXISTS lg_checkpoint;
DROP TABLE IF EXISTS toolserver;
DROP TABLE IF EXISTS tool;
DROP TABLE IF EXISTS feedback;
DROP TABLE IF EXISTS push_notification;
DROP TABLE IF EXISTS task;
DROP TABLE IF EXISTS event;
DROP TABLE IF EXISTS session;
DROP TABLE IF EXISTS agent;

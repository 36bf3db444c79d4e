-- Forgets how the platform runs an agent.

ALTER TABLE agent DROP COLUMN IF EXISTS workload_type;

-- Records how the platform runs an agent.

ALTER TABLE agent ADD COLUMN IF NOT EXISTS workload_type TEXT NOT NULL DEFAULT 'deployment';

COMMENT ON COLUMN agent.workload_type IS 'How the platform runs the agent, such as deployment or sandbox.';

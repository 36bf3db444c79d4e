-- Removes the values of LangGraph channels: checkpoints with the type agentrows+… lose their state.

DROP TABLE IF EXISTS agentrows_checkpoint_blob;

ALTER TABLE lg_checkpoint_write DROP COLUMN IF EXISTS agentrows_value;
ALTER TABLE lg_checkpoint_write DROP COLUMN IF EXISTS agentrows_task_path;

ALTER TABLE lg_checkpoint DROP COLUMN IF EXISTS agentrows_versions;
ALTER TABLE lg_checkpoint DROP COLUMN IF EXISTS agentrows_channels;
ALTER TABLE lg_checkpoint DROP COLUMN IF EXISTS agentrows_checkpoint;
ALTER TABLE lg_checkpoint DROP COLUMN IF EXISTS agentrows_run_id;

-- Restores the server's defaults of autovacuum.

ALTER TABLE agentrows_checkpoint_blob RESET (
    autovacuum_vacuum_scale_factor,
    autovacuum_analyze_scale_factor,
    toast.autovacuum_vacuum_scale_factor
);
ALTER TABLE agentrows_task_event RESET (
    autovacuum_vacuum_scale_factor,
    autovacuum_analyze_scale_factor,
    toast.autovacuum_vacuum_scale_factor
);
ALTER TABLE agentrows_store_item RESET (
    autovacuum_vacuum_scale_factor,
    autovacuum_analyze_scale_factor,
    toast.autovacuum_vacuum_scale_factor
);
ALTER TABLE agentrows_session_state RESET (
    autovacuum_vacuum_scale_factor,
    autovacuum_analyze_scale_factor,
    toast.autovacuum_vacuum_scale_factor
);
ALTER TABLE agentrows_feedback_key RESET (
    autovacuum_vacuum_scale_factor,
    autovacuum_analyze_scale_factor
);
ALTER TABLE agentrows_feedback_target RESET (
    autovacuum_vacuum_scale_factor,
    autovacuum_analyze_scale_factor
);

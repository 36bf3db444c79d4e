-- Restores the server's defaults of autovacuum.

ALTER TABLE agentrows_memory RESET (
    autovacuum_vacuum_scale_factor,
    autovacuum_analyze_scale_factor,
    toast.autovacuum_vacuum_scale_factor
);
ALTER TABLE agentrows_store_vector RESET (
    autovacuum_vacuum_scale_factor,
    autovacuum_analyze_scale_factor,
    toast.autovacuum_vacuum_scale_factor
);

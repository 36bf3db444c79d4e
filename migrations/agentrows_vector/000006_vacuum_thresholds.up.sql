-- Vacuums and analyzes the memories and the vectors of store items when 2 % of their rows changed:
-- with the server's default of 20 %, a large table keeps the space of millions of dead rows.

ALTER TABLE agentrows_memory SET (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.02,
    toast.autovacuum_vacuum_scale_factor = 0.02
);
ALTER TABLE agentrows_store_vector SET (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.02,
    toast.autovacuum_vacuum_scale_factor = 0.02
);

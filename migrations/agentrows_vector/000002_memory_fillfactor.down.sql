-- Fills the pages of memories to the brim again.

ALTER TABLE memory RESET (fillfactor);

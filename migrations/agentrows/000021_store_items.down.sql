-- Removes the documents of users; nothing else contains them.

DROP TABLE IF EXISTS agentrows_store_item;

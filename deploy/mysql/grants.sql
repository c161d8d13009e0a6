-- What the streamer and the auditor need on the source, and nothing else. Put in your own user, password and databases.
-- REPLICATION SLAVE reads the binlog of every database of the server: keep this user's password as you keep the server's.
CREATE USER 'tidemark'@'%' IDENTIFIED BY 'choose-a-password' REQUIRE SSL;
GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'tidemark'@'%';
-- So that the streamer sees, before a pipeline begins, transactions whose rows would come with no event.
GRANT XA_RECOVER_ADMIN ON *.* TO 'tidemark'@'%';
GRANT SELECT ON `shop`.* TO 'tidemark'@'%';

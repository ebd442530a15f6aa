-- Messages that came so often that they may be what ends processes, and how many tries of each have not come to an end.
-- A try is counted before it begins and taken off again when it ends in any way but with its process.
CREATE TABLE messaging.tries (
    consumer text NOT NULL,
    digest uuid NOT NULL,
    unended integer NOT NULL,
    PRIMARY KEY (consumer, digest)
);

GRANT SELECT ON messaging.tries TO billfold_app, billfold_readonly;
GRANT INSERT, UPDATE, DELETE ON messaging.tries TO billfold_app;

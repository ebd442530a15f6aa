-- Messages that a queue which was full did not take, by its topic. They go out in the order of `position` when it takes
-- some again, before any later one of the topic; those of other topics don't wait for them.
CREATE TABLE messaging.withheld (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    id text NOT NULL,
    body bytea NOT NULL,
    UNIQUE (topic, id)
);

CREATE INDEX withheld_by_topic ON messaging.withheld (topic, position);

GRANT SELECT ON messaging.withheld TO billfold_app, billfold_readonly;
GRANT INSERT, DELETE ON messaging.withheld TO billfold_app;

-- How far each sink was fed: every record before this position was handed to the broker for it. `round` counts how often
-- it was fed from the beginning, so that what is handed over again is no repeat to the broker.
CREATE TABLE audit.sink_places (
    name text PRIMARY KEY,
    fed bigint NOT NULL DEFAULT 0 CHECK (fed >= 0),
    round integer NOT NULL DEFAULT 0 CHECK (round >= 0)
);

GRANT SELECT, INSERT, UPDATE ON audit.sink_places TO billfold_app;
GRANT SELECT ON audit.sink_places TO billfold_readonly;

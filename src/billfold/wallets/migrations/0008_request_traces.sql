-- The trace that a request was sent in, if it is recorded: it goes on when the request is carried out.
ALTER TABLE wallets.requests ADD COLUMN traceparent text CHECK (length(traceparent) <= 64);

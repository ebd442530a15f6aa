-- Of a token that no block has yet, its place in the transaction and what will arrive of it are guesses, until a block says
-- better. Nothing of a deposit that is a fact is ever rewritten.
CREATE FUNCTION custody.refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.token = '' OR OLD.height IS NOT NULL OR OLD.state <> 'detected' OR OLD.account_id IS NOT NULL OR OLD.attempt <> 0
        OR OLD.epoch <> 0 THEN
        RAISE EXCEPTION 'place and amount of a deposit are facts' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER only_guesses BEFORE UPDATE OF index, amount ON custody.deposits
    FOR EACH ROW EXECUTE FUNCTION custody.refuse_rewriting();
GRANT UPDATE (index, amount) ON custody.deposits TO billfold_app;

-- Whoever has closed their account. Nothing is written for them any more, since they can't read it.
ALTER TABLE notifications.owners ADD COLUMN gone boolean NOT NULL DEFAULT false;

-- Whoever has closed their account. What is told of them later is deleted as well: they can't read it any more.
ALTER TABLE notifications.owners ADD COLUMN gone boolean NOT NULL DEFAULT false;

#!/bin/sh
# What has to be there before a role starts: the master keys, the schema, and a first key.
set -eu
umask 077
keys=/var/lib/billfold/master.key
[ -s "$keys" ] || billfold keys create-master "$keys"
billfold migrate
first=/var/lib/billfold/first.key
[ -s "$first" ] || billfold keys create "Operator" --owner sandbox --operator --json > "$first"

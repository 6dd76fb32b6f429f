#!/bin/sh
# Makes the passwords that docker-compose.yml reads, as files in ./secrets (or in the folder that is named).
# What is there already stays as it is: a database keeps the password that it was made with.
set -eu
folder=${1:-secrets}
mkdir -p "$folder"
chmod 700 "$folder"  # the files can be read by the users inside the containers, the folder by its owner alone
for name in database_password broker_password review_password; do
  [ -s "$folder/$name" ] && continue
  od -An -N24 -tx1 /dev/urandom | tr -d ' \n' > "$folder/$name"
  chmod 444 "$folder/$name"
done
# What Prometheus shows the page: its password, until it has users and this is a token of a viewer.
[ -s "$folder/metrics_token" ] || install -m 644 "$folder/review_password" "$folder/metrics_token"
echo "The passwords are in $folder. That of the review page is in $folder/review_password."

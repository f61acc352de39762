#!/bin/sh
# Makes backend-ids.txt: lines of "id salt address", tab-separated, the ids by coreutils' sha1sum.
#   test/golden/backend-ids.sh > test/golden/backend-ids.txt
for salt in '' salt 'a longer salt with spaces: 0123456789abcdef' 'sälz'; do
  for address in 10.0.0.1:80 10.0.0.10:80 10.0.0.1:8080 127.0.0.1:65535 0.0.0.0:1 192.168.255.254:443 \
    '[::1]:80' '[2001:db8::1]:8080' '[fe80::1%eth0]:80' localhost:8080 backend-1.example:80 \
    xn--bcher-kva.example:8443 a-name-that-is-longer-than-one-block-of-sha1.with.many.labels.internal.example:10080; do
    id=$(printf '%s%s' "$salt" "$address" | sha1sum | cut -d ' ' -f 1)
    printf '%s\t%s\t%s\n' "$id" "$salt" "$address"
  done
done

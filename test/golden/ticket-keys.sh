#!/bin/sh
# Makes ticket-keys.txt: keys as nginx, HAProxy and Traffic Server read them, by xxd and openssl.
#   test/golden/ticket-keys.sh > test/golden/ticket-keys.txt
# Key n has the bytes 97 n, 97 n + 1, ..., 97 n + 47, modulo 256: name, hmac, aes, of 16 bytes each.
# A line a case, tab-separated: format, the ring (r retiring, a active, s staged; the key's number), what is written.
part() { # n, first byte, to hex
  i=$2
  while [ "$i" -lt $(($2 + 16)) ]; do
    printf '%02x' $((($1 * 97 + i) % 256))
    i=$((i + 1))
  done
}
name_hmac_aes() { part "$1" 0; part "$1" 16; part "$1" 32; }
name_aes_hmac() { part "$1" 0; part "$1" 32; part "$1" 16; }
base64() { xxd -r -p | openssl base64 -A; }

haproxy() { # ring, keys in the order of the file
  printf 'haproxy\t%s\t' "$1"
  for n in $2; do printf '%s ' "$(name_aes_hmac "$n" | base64)"; done
  printf '\n'
}
ats() { # ring, keys in the order of the file
  printf 'ats\t%s\t%s\n' "$1" "$(for n in $2; do name_hmac_aes "$n"; done | base64)"
}
nginx() { # ring, keys in the order of the directives
  printf 'nginx\t%s\t' "$1"
  for n in $2; do printf '%s:%s ' "$(part "$n" 0)" "$(name_aes_hmac "$n" | base64)"; done
  printf '\n'
}

haproxy 'r1 r2 a3 s4' '1 2 3 4'
haproxy 'r1 r2 a3' '1 3 2'
haproxy 'r2 a3' '3 3 2'
haproxy 'a3 s4' '3 3 4'
haproxy 'a3' '3 3 3'
for format in ats nginx; do
  $format 'r1 r2 a3 s4' '3 4 2 1'
  $format 'r1 r2 a3' '3 2 1'
  $format 'a3 s4' '3 4'
  $format 'a3' '3'
done

#!/usr/bin/perl
# Makes domains.jsonl, lines of [Host header, nodes, chosen node], as SessionAffinity 0.110 chooses in domain mode:
#   perl test/golden/domains.pl > test/golden/domains.jsonl
use strict;
use warnings;
use JSON::PP;

my @pools = (
    ['10.0.0.1:80'],
    [ '10.0.0.2:80', '10.0.0.10:80', '10.0.0.1:80' ],
    [ '10.0.0.9:80', '10.0.0.10:80', '10.0.0.1:8080', '10.0.0.1:80', '10.0.0.100:80' ],
    [ 'b.example:80', 'a.example:80', '[::1]:80', '10.0.0.1:80', 'B.example:80', 'a.example:8080', '[2001:db8::1]:80' ],
    [ map { "10.0.$_.1:" . ($_ * 37 % 1000 + 1) } 1 .. 40 ],
);
my @hosts = (
    '', 'example.com', 'EXAMPLE.com', 'www.example.com', 'www.example.com:8080', 'localhost', '127.0.0.1', '[::1]:443',
    'a', 'b', 'ab', 'ba', 'xn--bcher-kva.example', "b\xfccher.example", 'x' x 255, map { "shop-$_.example" } 1 .. 10
);
for my $pool (@pools) {
    for my $host (@hosts) {
        my @sorted = sort @$pool;
        my $sum = 0;
        $sum += ord for split //, $host;
        print JSON::PP->new->ascii->encode([ $host, $pool, $sorted[ $sum % @sorted ] ]), "\n";
    }
}

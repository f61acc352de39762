#!/usr/bin/perl
# What Perl's CGI::Cookie (libcgi-pm-perl) says is the value of X-SERVERID in a Cookie header. JSON, a line each:
#   perl test/golden/cookies.pl --make > test/golden/cookies.jsonl      [header, value or null] of the headers below
#   perl test/golden/cookies.pl < headers                               value or null, of each header on stdin
use strict;
use warnings;
use CGI::Cookie;
use JSON::PP;

my $json = JSON::PP->new->ascii->allow_nonref;

sub value_of {
    my ($header) = @_;
    utf8::downgrade($header);    # bytes, as a server reads them: white space is ASCII's
    my %cookies = CGI::Cookie->parse($header);
    my $cookie = $cookies{'X-SERVERID'} or return undef;
    return scalar $cookie->value // '';
}

sub headers {
    my $id    = 'da39a3ee5e6b4b0d3255bfef95601890afd80709';
    my $other = '0123456789abcdef0123456789abcdef01234567';
    my @names = (
        'X-SERVERID', '%58-SERVERID', 'X%2dSERVERID', 'X%2DSERVERID', '%u0058-SERVERID', '%U0058-SERVERID',
        'X-SERVERID%20', 'X-SERVERID+', 'x-serverid', 'X+SERVERID', "X-SERVERID ", "\tX-SERVERID", 'XX-SERVERID',
        'X-SERVERI', 'X-SERVERID%00', '%2558-SERVERID', '"X-SERVERID"', 'X-SERVERID&', '$X-SERVERID', '',
    );
    my @values = (
        $id, uc $id, ucfirst $id, substr($id, 0, 39), "${id}0", '', ' ', '=', "=$id", "$id=", " $id", "$id ", "$id\t",
        "$id \t ", "\t$id", "\"$id\"", "\"$id", "'$id'", "$id&", "$id&$other", "&$id", "$id &x", "x&$id", "$id+", "+$id",
        "$id%20", "$id%00", "$id%0A", "$id%", "$id%6", "$id%zz", '%64' . substr($id, 1), '%44' . substr($id, 1),
        '%u0064' . substr($id, 1), '%u0044' . substr($id, 1), '%u064' . substr($id, 1), '%2564' . substr($id, 1),
        '%uD83D%uDE00' . substr($id, 2), join('', map { sprintf '%%%02x', ord } split //, $id),
        join('', map { sprintf '%%%02X', ord } split //, $id), join('', map { sprintf '%%u%04x', ord } split //, $id),
        substr($id, 0, 20) . ' ' . substr($id, 20), substr($id, 0, 20) . '%26' . substr($id, 20),
        substr($id, 0, 39) . 'g', substr($id, 0, 39) . "\xe9", "$id\xa0", "\x85$id", "$id\x{85}", '0', '%30', 'deleted',
    );
    my @headers = ('', '0', ' ', ';', ',', '=', '=;=', '&', 'X-SERVERID', 'X-SERVERID;', "X-SERVERID;X-SERVERID=$id",
        "theme=dark; X-SERVERID=$id; lang=en", "a=b=c; d; =e; X-SERVERID=$id", "X-SERVERID=$id; \$Path=/; \$Version=1");
    push @headers, "$_=$id" for @names;
    push @headers, "X-SERVERID=$_", "a=b; X-SERVERID=$_", "X-SERVERID=$_;c=d" for @values;
    my @firsts = ("X-SERVERID=$id", 'X-SERVERID=', 'X-SERVERID=x', 'X-SERVERID', "%58-SERVERID=$id", 'a=b', "x=$id", '');
    for my $separator (';', '; ', ',', ', ', ' ; ', ';;', ',; ', "\t;\t", ';  ', '&', ' ', '.') {
        push @headers, "$_${separator}X-SERVERID=$other", "X-SERVERID=$other$separator$_" for @firsts;
    }
    return @headers;
}

if (@ARGV && $ARGV[0] eq '--make') {
    print $json->encode([ $_, value_of($_) ]), "\n" for headers();
} else {
    while (my $line = <STDIN>) { print $json->encode(value_of($json->decode($line))), "\n" }
}

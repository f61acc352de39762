# The service manager's end of sd_notify(3), as Node has no unix datagram sockets: binds the socket named by the first
# argument (@NAME: abstract), says "bound", and prints each datagram as a line of hexadecimal digits. With a second
# argument it reads nothing before a line comes on stdin. Ends with its stdin.
use strict;
use warnings;
use IO::Select;
use Socket;

my ($path, $held) = @ARGV;
my $name = $path =~ s/^@/\0/r;
socket(my $socket, AF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
bind($socket, pack_sockaddr_un($name)) or die "bind: $!";
$| = 1;
print "bound\n";
sysread(STDIN, my $line, 1) or exit if $held;
my $select = IO::Select->new($socket, \*STDIN);
while (1) {
  for my $ready ($select->can_read) {
    if ($ready == $socket) {
      recv($socket, my $datagram, 65536, 0);
      print unpack('H*', $datagram), "\n";
    } elsif (!sysread(STDIN, my $rest, 4096)) {
      exit;
    }
  }
}

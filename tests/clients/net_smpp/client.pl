#!/usr/bin/perl
# Drives a running smscd with Perl's Net::SMPP: all three binds, receipts, multipart both ways, an unknown TLV, unbind,
# reconnect. Usage: client.pl SMPP_ADDR. The daemon has the default configuration. Exits non-zero on any failure.
use strict;
use warnings;
use Net::SMPP;

my ($host, $port) = split /:/, $ARGV[0];
# Whatever hangs fails.
$SIG{ALRM} = sub { die "no answer in time\n" };
alarm 60;

# A bound session; its queues of deliveries and of message ids are filled by until().
sub bind_as {
    my ($mode) = @_;
    my $new = "new_$mode";
    my ($session, $resp) = Net::SMPP->$new($host, port => $port, system_id => 'demo', password => 'demo', async => 0);
    die "no connection" if !$session || !$resp;
    die "$mode: " . $resp->explain_status if $resp->status != 0;
    die "system_id $resp->{system_id}" if $resp->{system_id} ne 'smscd';
    return { session => $session, ids => [], inbox => [], sent => {} };
}

# Requests go out without waiting: a synchronous one of this library drops every PDU but its response.
sub submit {
    my ($esme, %fields) = @_;
    my $seq = $esme->{session}->submit_sm(
        async => 1, source_addr => '12345', destination_addr => '447012345678', registered_delivery => 1, %fields);
    $esme->{sent}{$seq} = 1;
}

sub until_have {
    my ($esme, $ids, $inbox) = @_;
    while (@{ $esme->{ids} } < $ids || @{ $esme->{inbox} } < $inbox) {
        my $pdu = $esme->{session}->read_pdu or die "the connection has ended";
        if ($pdu->cmd == Net::SMPP::CMD_submit_sm_resp) {
            die "submit_sm: " . $pdu->explain_status if $pdu->status != 0;
            delete $esme->{sent}{ $pdu->seq } or die "a response to nothing";
            push @{ $esme->{ids} }, $pdu->{message_id};
        } elsif ($pdu->cmd == Net::SMPP::CMD_deliver_sm) {
            $esme->{session}->deliver_sm_resp(seq => $pdu->seq, message_id => '');
            push @{ $esme->{inbox} }, $pdu;
        } elsif ($pdu->cmd == Net::SMPP::CMD_enquire_link) {
            $esme->{session}->enquire_link_resp(seq => $pdu->seq);
        } else {
            die "unexpected " . $pdu->explain_cmd;
        }
    }
}

# Each id has exactly one receipt, with the same id in text and TLV.
sub check_receipts {
    my ($ids, $inbox) = @_;
    my @seen;
    for my $pdu (@$inbox) {
        die "esm_class $pdu->{esm_class}" if $pdu->{esm_class} != 4;
        my ($id) = $pdu->{short_message} =~ /^id:(\w+) sub:001 dlvrd:001 submit date:\d{10} done date:\d{10} stat:DELIVRD err:000 text:/
            or die "not a receipt: $pdu->{short_message}";
        die 'receipted_message_id' if $pdu->{receipted_message_id} ne "$id\0";
        die 'message_state' if $pdu->{message_state} ne "\2";
        push @seen, $id;
    }
    die "receipts of @seen, not of @$ids" if join(' ', sort @seen) ne join(' ', sort @$ids);
}

sub unbind {
    my ($esme) = @_;
    my $resp = $esme->{session}->unbind or die 'no unbind_resp';
    die 'unbind: ' . $resp->explain_status if $resp->status != 0;
    die 'still open after unbind' if defined $esme->{session}->read_pdu;
}

my %cases = (
    '1 transceiver' => sub {
        my $esme = bind_as('transceiver');
        submit($esme, short_message => 'hello from Perl') for 1 .. 20;
        until_have($esme, 20, 20);
        check_receipts($esme->{ids}, $esme->{inbox});
        unbind($esme);
    },
    '2 transmitter and receiver' => sub {
        my ($tx, $rx) = (bind_as('transmitter'), bind_as('receiver'));
        submit($tx, short_message => 'split binds') for 1 .. 5;
        until_have($tx, 5, 0);
        until_have($rx, 0, 5);
        check_receipts($tx->{ids}, $rx->{inbox});
        unbind($_) for $tx, $rx;
    },
    '3 multipart both ways' => sub {
        # 12345 is our own address: the parts come back.
        my $esme = bind_as('transceiver');
        my @parts = map { "\5\0\3\x2a\3" . chr($_) . $_ x 130 } 1 .. 3;
        submit($esme, destination_addr => '12345', registered_delivery => 0, esm_class => 0x40, short_message => $_) for @parts;
        until_have($esme, 3, 3);
        for my $pdu (@{ $esme->{inbox} }) {
            die "esm_class $pdu->{esm_class}" if $pdu->{esm_class} != 0x40;
            die 'another part' if $pdu->{short_message} ne shift @parts;
        }
        unbind($esme);
    },
    '4 unknown TLV' => sub {
        my $esme = bind_as('transceiver');
        local $SIG{__WARN__} = sub { };    # The library warns of tags that it does not know.
        submit($esme, destination_addr => '12345', registered_delivery => 0, short_message => 'vendor', 0x1789 => 77);
        until_have($esme, 1, 1);
        die 'the TLV is lost' if ($esme->{inbox}[0]{ 0x1789 } // '') ne chr 77;
        unbind($esme);
    },
    '5 reconnect after a drop' => sub {
        my $tx = bind_as('transmitter');
        submit($tx, short_message => 'before the drop') for 1 .. 3;
        until_have($tx, 3, 0);
        close $tx->{session};
        my $rx = bind_as('transceiver');
        until_have($rx, 0, 3);
        check_receipts($tx->{ids}, $rx->{inbox});
        unbind($rx);
    },
);
for my $name (sort keys %cases) {
    $cases{$name}->();
    print "Net::SMPP: ", substr($name, 2), " ok\n";
}

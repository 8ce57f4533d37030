# Datagrams with forged sources, from one raw socket. Needs root.
#
#   udp_spoof.py PORT COUNT PER_SECOND < TEMPLATES              another address of 127/8 and another port each
#   udp_spoof.py PORT COUNT PER_SECOND ADDRESS:PORT < TEMPLATES all from there
#
# Templates are lines of hex and take turns. In one that begins as CoAP (version 1), bytes 3 and 4, its Message ID, are
# the number of the datagram.
import socket
import struct
import sys
import time

port, count, per_second = (int(word) for word in sys.argv[1:4])
source, source_port = None, 0
if len(sys.argv) > 4:
    address, source_port = sys.argv[4].split(":")
    source, source_port = socket.inet_aton(address), int(source_port)
templates = [bytearray.fromhex(line) for line in sys.stdin if line.strip()]
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
target = bytes([127, 0, 0, 1])
started = time.monotonic()
for number in range(count):
    datagram = templates[number % len(templates)]
    if len(datagram) >= 4 and datagram[0] >> 6 == 1:
        struct.pack_into(">H", datagram, 2, number & 0xFFFF)
    sender = source or bytes([127, 77, (number >> 8) & 255, number & 255])
    # The kernel fills in the checksum of the header; one of 0 in UDP's says that there is none.
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28 + len(datagram), 0, 0, 64, 17, 0, sender, target)
    udp = struct.pack(">HHHH", source_port or 1024 + number % 60000, port, 8 + len(datagram), 0)
    raw.sendto(ip + udp + datagram, ("127.0.0.1", 0))
    if number % 50 == 49:
        ahead = (number + 1) / per_second - (time.monotonic() - started)
        if ahead > 0:
            time.sleep(ahead)

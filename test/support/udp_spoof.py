# Datagrams with forged sources, from one raw socket: another address of 127/8 and another port each. Needs root.
#
#   udp_spoof.py PORT COUNT PER_SECOND < TEMPLATES
#
# Templates are lines of hex; they take turns, and bytes 3 and 4 (CoAP's Message ID) of each datagram are its number.
import socket
import struct
import sys
import time

port, count, per_second = (int(word) for word in sys.argv[1:])
templates = [bytearray.fromhex(line) for line in sys.stdin if line.strip()]
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
target = bytes([127, 0, 0, 1])
started = time.monotonic()
for number in range(count):
    datagram = templates[number % len(templates)]
    if len(datagram) >= 4:
        struct.pack_into(">H", datagram, 2, number & 0xFFFF)
    source = bytes([127, 77, (number >> 8) & 255, number & 255])
    # The kernel fills in the checksum of the header; one of 0 in UDP's says that there is none.
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28 + len(datagram), 0, 0, 64, 17, 0, source, target)
    udp = struct.pack(">HHHH", 1024 + number % 60000, port, 8 + len(datagram), 0)
    raw.sendto(ip + udp + datagram, ("127.0.0.1", 0))
    if number % 50 == 49:
        ahead = (number + 1) / per_second - (time.monotonic() - started)
        if ahead > 0:
            time.sleep(ahead)

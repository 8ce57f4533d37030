"""A microcontroller's end of a slipmux line for any CoAP client that speaks UDP: datagrams in, frames out, and back.

Written from RFC 1055, RFC 1662 (appendix C.2, its table) and draft-bormann-t2trg-slipmux, without anything of ours:

    slipmux_bridge.py TTY [slipmux | slip]

prints its UDP port on 127.0.0.1. Whoever sent last hears what comes over the line. A frame that is none ends it, with words.
"""
import os, select, socket, sys

END, ESC, ESC_END, ESC_ESC = 0xC0, 0xDB, 0xDC, 0xDD


def table_entry(byte):
    for _ in range(8):
        byte = (byte >> 1) ^ 0x8408 if byte & 1 else byte >> 1
    return byte


TABLE = [table_entry(byte) for byte in range(256)]


def fcs16(data):
    fcs = 0xFFFF
    for byte in data:
        fcs = (fcs >> 8) ^ TABLE[(fcs ^ byte) & 0xFF]
    return fcs


def to_line(message, bare):
    content = bytes([0xA9]) + message
    content = message if bare else content + (fcs16(content) ^ 0xFFFF).to_bytes(2, "little")
    escaped = content.replace(bytes([ESC]), bytes([ESC, ESC_ESC])).replace(bytes([END]), bytes([ESC, ESC_END]))
    return bytes([END]) + escaped + bytes([END])


def from_line(escaped, bare):
    content = escaped.replace(bytes([ESC, ESC_END]), bytes([END])).replace(bytes([ESC, ESC_ESC]), bytes([ESC]))
    if bare:
        return content
    if content[0] != 0xA9 or fcs16(content) != 0xF0B8:
        sys.exit("no CoAP: " + content.hex())
    return content[1:-2]


def main(path, framing="slipmux"):
    bare = framing == "slip"
    line = os.open(path, os.O_RDWR | os.O_NOCTTY)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    print(udp.getsockname()[1], flush=True)
    client, partial = None, b""
    while True:
        ready, _, _ = select.select([line, udp], [], [])
        if udp in ready:
            datagram, client = udp.recvfrom(65535)
            frame = to_line(datagram, bare)
            while frame:
                frame = frame[os.write(line, frame):]
        if line in ready:
            partial += os.read(line, 4096)
            *frames, partial = partial.split(bytes([END]))
            for frame in filter(None, frames):
                message = from_line(frame, bare)
                if client is not None:
                    udp.sendto(message, client)


main(*sys.argv[1:])

# A pseudo serial line: prints the path of its far end; standard input goes to the line, the line to standard output.
import os
import pty
import select
import tty

BLOCK_BYTES = 4096

near, far = pty.openpty()
tty.setraw(far)  # no echo, no line editing: bytes as they are
os.write(1, (os.ttyname(far) + "\n").encode())
while True:
    readable, _, _ = select.select([0, near], [], [])
    if 0 in readable:
        data = os.read(0, BLOCK_BYTES)
        if not data:
            break
        while data:
            data = data[os.write(near, data) :]
    if near in readable:
        os.write(1, os.read(near, BLOCK_BYTES))

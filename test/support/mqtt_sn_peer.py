# Debian's scapy (2.5) as an MQTT-SN client: it makes every message that is sent from its fields, and reads every one that
# comes. A command per line of stdin, an event per line of stdout, both JSON. See mqtt-sn-peer.ts.
#   {"send": "CONNECT", "fields": {...}}   {"send": ..., "node": "aabb"} wraps it as a forwarder does   {"read": "0217"}
import json
import socket
import sys
import threading

from scapy.contrib import mqttsn
from scapy.packet import NoPayload, Raw

TYPES = {name: number for number, name in mqttsn.PACKET_TYPE.items()}
TYPES["ENCAPS"] = mqttsn.ENCAPS_MSG
LAYERS = {fields["type"]: layer for fields, layer in mqttsn.MQTTSN.payload_guess}
lock = threading.Lock()


def say(event):
    with lock:
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()


def text(value):
    return value.decode("latin1") if isinstance(value, bytes) else value


def shown(packet):
    """Type and fields of an MQTT-SN message, with what a forwarder's envelope holds in `inner`."""
    event = {"type": mqttsn.PACKET_TYPE[packet.type], "len": packet.len}
    body = packet.payload
    if packet.type == mqttsn.ENCAPS_MSG:
        event["node"] = body.w_node_id.hex()
        event["radius"] = body.radius
        event["inner"] = shown(body.payload)
    elif not isinstance(body, NoPayload):
        event.update({name: text(value) for name, value in body.fields.items() if value is not None})
    rest = packet.getlayer(Raw)
    if rest is not None:
        event["stray"] = rest.load.hex()
    return event


def made(command):
    fields = {name: value.encode("latin1") if isinstance(value, str) else value for name, value in command.get("fields", {}).items()}
    kind = TYPES[command["send"]]
    # scapy has no DISCONNECT without a duration.
    bare = kind == mqttsn.DISCONNECT and not fields
    message = mqttsn.MQTTSN(len=2, type=kind) if bare else mqttsn.MQTTSN() / LAYERS[kind](**fields)
    if "node" in command:
        message = mqttsn.MQTTSN() / mqttsn.MQTTSNEncaps(radius=0, w_node_id=bytes.fromhex(command["node"])) / message
    return bytes(message)


def listen(sock):
    while True:
        data = sock.recv(65535)
        say({"came": data.hex(), **shown(mqttsn.MQTTSN(data))})


sock = None
if len(sys.argv) > 1:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(("127.0.0.1", int(sys.argv[1])))
    threading.Thread(target=listen, args=[sock], daemon=True).start()

for line in sys.stdin:
    command = json.loads(line)
    if "read" in command:
        say(shown(mqttsn.MQTTSN(bytes.fromhex(command["read"]))))
    else:
        sock.send(made(command))

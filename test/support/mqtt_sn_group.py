# Another machine that looks for an MQTT-SN gateway by multicast, with scapy: joins a group, asks, prints what it hears, a
# message per line as JSON with the sender's address. Arguments: group, port, the interface's own address, its index.
import ipaddress
import json
import socket
import struct
import sys

from scapy.contrib import mqttsn

group, port, own, index = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
if ipaddress.ip_address(group).version == 4:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton(own))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
else:
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", index))
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, struct.pack("@I", index))
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
sock.bind(("", port))
sock.settimeout(0.5)
search = bytes(mqttsn.MQTTSN() / mqttsn.MQTTSNSearchGW(radius=1))
while True:
    sock.sendto(search, (group, port))
    try:
        while True:
            data, sender = sock.recvfrom(65535)
            message = mqttsn.MQTTSN(data)
            print(json.dumps({"type": mqttsn.PACKET_TYPE[message.type], "from": sender[0], "port": sender[1],
                              **{name: value for name, value in message.payload.fields.items() if isinstance(value, int)}}), flush=True)
    except socket.timeout:
        pass

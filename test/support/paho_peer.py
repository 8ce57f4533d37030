# Debian's paho client (1.6) at the hands of a test: options as JSON in the first argument, a command per line of stdin,
# an event per line of stdout. See mqtt-programs.ts.
import json
import os
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

options = json.loads(sys.argv[1])
version = options["version"]


def say(**event):
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def number(code):
    return code if isinstance(code, int) else code.value


def on_connect(_client, _user, flags, code, _properties=None):
    say(event="connected", code=number(code), present=bool(flags["session present"]))


def on_message(_client, _user, message):
    say(
        event="message",
        topic=message.topic,
        payload=message.payload.decode("latin1"),
        qos=message.qos,
        retain=bool(message.retain),
    )


def on_subscribe(_client, _user, _mid, granted, _properties=None):
    say(event="subscribed", granted=[number(code) for code in granted])


def on_publish(_client, _user, mid):
    say(event="published", mid=mid)


def on_disconnect(_client, _user, code, _properties=None):
    say(event="disconnected", code=number(code))


client = mqtt.Client(
    options["id"],
    protocol=version,
    transport=options.get("transport", "tcp"),
    clean_session=None if version == 5 else options.get("clean", True),
)
client.on_connect = on_connect
client.on_message = on_message
client.on_subscribe = on_subscribe
client.on_publish = on_publish
client.on_disconnect = on_disconnect
if "user" in options:
    client.username_pw_set(options["user"], options.get("password"))
if "ca" in options:
    client.tls_set(options["ca"], options.get("cert"), options.get("key"))
if "will" in options:
    will = options["will"]
    client.will_set(will["topic"], will["payload"], will["qos"], will["retain"])
if options.get("transport") == "websockets":
    client.ws_set_options(path="/mqtt")
arguments = {}
if version == 5:
    arguments["clean_start"] = options.get("clean", True)
    arguments["properties"] = Properties(PacketTypes.CONNECT)
    arguments["properties"].SessionExpiryInterval = options.get("expiry", 0)
client.reconnect_delay_set(3600)
client.connect(options.get("host", "127.0.0.1"), options["port"], **arguments)
client.loop_start()
for line in sys.stdin:
    command = json.loads(line)
    if command["do"] == "subscribe":
        client.subscribe(command["filter"], command["qos"])
    elif command["do"] == "publish":
        client.publish(command["topic"], command["payload"].encode("latin1"), command["qos"], command["retain"])
    elif command["do"] == "leave":
        client.disconnect()
        client.loop_stop()
        break
os._exit(0)

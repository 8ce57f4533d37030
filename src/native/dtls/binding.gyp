{
  # `node-gyp rebuild --nodedir=<the pinned node's package>`: no download, no other dependency. scripts/addon.mjs calls it.
  "targets": [
    {
      "target_name": "dtls",
      "sources": [
        "context-object.cc",
        "context.cc",
        "cookie.cc",
        "credentials.cc",
        "datagrams.cc",
        "js.cc",
        "module.cc",
        "psk.cc",
        "reason.cc",
        "records.cc",
        "secrets.cc",
        "session-object.cc",
        "session.cc",
        "tickets.cc",
      ],
      "defines": ["NAPI_VERSION=9", "OPENSSL_API_COMPAT=30000", "OPENSSL_NO_DEPRECATED"],
      "cflags": ["-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-parameter"],
      "cflags_cc": ["-fno-exceptions", "-fno-rtti"],
      # A symbol that node's OpenSSL does not have is missed when the addon loads, not in the middle of a handshake.
      # The C++ library comes along: a board's may be older than that of the machine that built this.
      "ldflags": ["-Wl,-z,now", "-Wl,-z,relro", "-Wl,--exclude-libs,ALL", "-static-libstdc++", "-static-libgcc"],
    }
  ]
}

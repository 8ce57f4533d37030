{
  # As src/native/dtls/binding.gyp.
  "targets": [
    {
      "target_name": "tty",
      "sources": ["tty.cc"],
      "defines": ["NAPI_VERSION=9"],
      "cflags": ["-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-parameter"],
      "cflags_cc": ["-fno-exceptions", "-fno-rtti"],
      "ldflags": ["-Wl,-z,now", "-Wl,-z,relro", "-Wl,--exclude-libs,ALL", "-static-libstdc++", "-static-libgcc"],
    }
  ]
}

// Between JavaScript's values and ours. Each reader throws a TypeError or RangeError that names the argument and
// answers false.
#ifndef SLUICE_DTLS_JS_H_
#define SLUICE_DTLS_JS_H_

#include <node_api.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "bytes.h"
#include "datagrams.h"

namespace dtls {

class Session;

/** What one environment (the main thread, or a worker) has of the addon. */
struct Addon {
  napi_ref session_class = nullptr;
  /** The session that the next DtlsSession object takes over; nobody else can make such an object. */
  Session* arriving = nullptr;
};

void throw_type_error(napi_env env, const std::string& text);
void throw_range_error(napi_env env, const std::string& text);
void throw_error(napi_env env, const std::string& text);

/** The bytes of a typed array, Buffer or DataView; valid while no JavaScript runs. */
bool read_bytes(napi_env env, napi_value value, const char* name, Bytes* out);
bool read_index(napi_env env, napi_value value, const char* name, uint32_t* out);

/** A property; *present = false if it is undefined or null. */
bool get(napi_env env, napi_value object, const char* name, napi_value* out, bool* present);
bool get_bytes(napi_env env, napi_value object, const char* name, Bytes* out);
bool get_flag(napi_env env, napi_value object, const char* name, bool* out);
bool get_number(napi_env env, napi_value object, const char* name, uint32_t min, uint32_t max, uint32_t* out);
bool get_text(napi_env env, napi_value object, const char* name, std::string* out, bool* present);
bool is_object(napi_env env, napi_value value);

/**
 * What a getter's object holds. V8 calls a method only on an object of its class; a getter it calls on any, so those
 * objects carry a tag. Throws and answers nullptr if it is another's.
 */
void* unwrap_tagged(napi_env env, napi_callback_info info, const napi_type_tag& tag);

napi_value make_null(napi_env env);
napi_value make_number(napi_env env, int64_t number);
napi_value make_flag(napi_env env, bool flag);
napi_value make_text(napi_env env, const char* text);
napi_value make_buffer(napi_env env, const void* data, size_t length);
/** A datagram's bytes; it is released. */
napi_value make_buffer(napi_env env, Datagram* datagram);

/** A DtlsSession that owns `session`; nullptr = an exception is pending and the session is gone. */
napi_value wrap_session(napi_env env, Addon* addon, Session* session);

/** What live() tells; of all threads that have loaded the addon. */
extern std::atomic<int> live_contexts;
extern std::atomic<int> live_sessions;

bool define_context(napi_env env, Addon* addon, napi_value exports);
bool define_session(napi_env env, Addon* addon);

}  // namespace dtls

#endif  // SLUICE_DTLS_JS_H_
